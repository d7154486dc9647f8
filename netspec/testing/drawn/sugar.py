"""Rewrite a spec document to an equivalent one, with parameters for numbers and defaults for shared attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]
Layer = dict[str, Any]
NUMBERS = ("filters", "units", "groups", "size")  # attributes that may be replaced by parameters
LANGUAGE_KEYS = ("op", "inputs", "when")


@st.composite
def sugared(draw: st.DrawFn, document: Document) -> Document:
    """Draw a document with some numbers replaced by `${…}` and some attributes moved to `defaults`."""
    layers = _copied(document["layers"])
    blocks = {name: {**block, "layers": _copied(block["layers"])} for name, block in document.get("blocks", {}).items()}
    all_layers = [*layers.values(), *(layer for block in blocks.values() for layer in block["layers"].values())]
    op_layers = [layer for layer in all_layers if "op" in layer]
    defaults: dict[str, Layer] = {kind: {} for kind in draw(_some(sorted({layer["op"] for layer in op_layers})))}
    for kind, shared in defaults.items():
        members = [layer for layer in op_layers if layer["op"] == kind]
        shared.update((name, members[0][name]) for name in draw(_some(sorted(_shared(members)))))
        for layer in members:
            for name in shared:
                del layer[name]
    parameters = _parametrize(draw, [*all_layers, *defaults.values()])
    return {
        **document,
        **({"parameters": parameters} if parameters else {}),
        **({"defaults": defaults} if defaults else {}),
        **({"blocks": blocks} if blocks else {}),
        "layers": layers,
    }


def _copied(layers: dict[str, Layer]) -> dict[str, Layer]:
    return {name: dict(layer) for name, layer in layers.items()}


def _some(items: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(items), unique=True, max_size=3) if items else st.just([])


def _shared(layers: list[Layer]) -> Iterator[str]:
    """Yield the attributes that have the same value in all layers, except for expressions."""
    for name, value in layers[0].items():
        if (
            name not in LANGUAGE_KEYS
            and "${" not in str(value)
            and all(name in layer and layer[name] == value for layer in layers)
        ):
            yield name


def _parametrize(draw: st.DrawFn, mappings: list[dict[str, Any]]) -> dict[str, int]:
    """Replace some numbers by expressions, in place, and return the parameters that the expressions use."""
    occurrences: dict[int, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for mapping in mappings:
        for name in NUMBERS:
            if isinstance(mapping.get(name), int):  # a size may also be a mapping of height and width
                occurrences[mapping[name]].append((mapping, name))
    parameters: dict[str, int] = {}
    for number, places in occurrences.items():
        if not draw(st.booleans()):
            continue
        parameter = f"width_{number}"
        parameters[parameter] = number
        for mapping, name in places:
            forms = ("${%s}", "${%s * 2 - %s}", "${(%s + %s) // 2}")
            form = draw(st.sampled_from(forms))
            mapping[name] = form.replace("%s", parameter)
    return parameters
