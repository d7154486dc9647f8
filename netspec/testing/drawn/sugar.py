"""A spec document said in another way that means the same: parameters for numbers, defaults for what layers share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]
Layer = dict[str, Any]
NUMBERS = ("filters", "units", "groups", "size")  # attributes that are stated through a parameter now and then
LANGUAGE_KEYS = ("op", "inputs", "when")


@st.composite
def sugared(draw: st.DrawFn, document: Document) -> Document:
    """The document with some numbers replaced by `${…}` and some attributes moved to `defaults`."""
    layers = {name: dict(layer) for name, layer in document["layers"].items()}
    blocks = {
        name: {**block, "layers": {own: dict(layer) for own, layer in block["layers"].items()}}
        for name, block in document.get("blocks", {}).items()
    }
    every = [layer for each in (layers, *(block["layers"] for block in blocks.values())) for layer in each.values()]
    ops = [layer for layer in every if "op" in layer]
    defaults: dict[str, Layer] = {kind: {} for kind in draw(_some(sorted({layer["op"] for layer in ops})))}
    for kind, shared in defaults.items():
        members = [layer for layer in ops if layer["op"] == kind]
        shared.update((name, members[0][name]) for name in draw(_some(sorted(_shared(members)))))
        for layer in members:
            for name in shared:
                del layer[name]
    parameters = _parametrized(draw, [*every, *defaults.values()])
    return {
        **document,
        **({"parameters": parameters} if parameters else {}),
        **({"defaults": defaults} if defaults else {}),
        **({"blocks": blocks} if blocks else {}),
        "layers": layers,
    }


def _some(items: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(items), unique=True, max_size=3) if items else st.just([])


def _shared(layers: list[Layer]) -> Iterator[str]:
    """The attributes that all of the layers state alike, but for what a block is given."""
    for name, value in layers[0].items():
        if (
            name not in LANGUAGE_KEYS
            and "${" not in str(value)
            and all(name in layer and layer[name] == value for layer in layers)
        ):
            yield name


def _parametrized(draw: st.DrawFn, mappings: list[dict[str, Any]]) -> dict[str, int]:
    """Replace some numbers by expressions, in place; the parameters that those use."""
    places: dict[int, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for mapping in mappings:
        for name in NUMBERS:
            if isinstance(mapping.get(name), int):  # a size may be a height and a width
                places[mapping[name]].append((mapping, name))
    parameters: dict[str, int] = {}
    for number, found in places.items():
        if not draw(st.booleans()):
            continue
        parameter = f"width_{number}"
        parameters[parameter] = number
        for mapping, name in found:
            forms = ("${%s}", "${%s * 2 - %s}", "${(%s + %s) // 2}")
            form = draw(st.sampled_from(forms))
            mapping[name] = form.replace("%s", parameter)
    return parameters
