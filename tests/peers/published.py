"""Names and shapes of published weights as text, with which `make test` checks the mappings without the peers.

A paragraph is a model, a line of it a module and its layers. `conv1=64x3x7x7` has a weight of that shape,
`fc=1000x512+` a bias beside it, `bn1=~64` what a batch normalization of 64 channels keeps, and
`class_token=!1x1x768` is itself one.

`python -m tests.peers.published ORIGIN` writes the origin's file anew, for the smallest model of each mapping.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from netspec.transfer import WeightMapping, read_mapping
from tests.peers.carried import smallest
from tests.peers.peer import LOADERS

Shapes = Mapping[str, tuple[int, ...]]
FOLDER: Final = Path(__file__).parents[1] / "transfer" / "published"
MAPPINGS: Final = Path(__file__).parents[2] / "specs" / "weights"
BATCH_NORM: Final = ("weight", "bias", "running_mean", "running_var")
COUNTER: Final = "num_batches_tracked"
DEPTH: Final = 2  # of the module that a line is of


def encoded(model: str, shapes: Shapes) -> str:
    """Return the paragraph of a model."""
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        layer, _, weight = name.rpartition(".")
        layers.setdefault(layer, {})[weight] = shape
    lines: dict[str, list[str]] = {}
    for layer, weights in layers.items():
        parts = layer.split(".")
        module, rest = ".".join(parts[: min(DEPTH, len(parts) - 1)]), ".".join(parts[min(DEPTH, len(parts) - 1) :])
        lines.setdefault(module, []).extend(_words(rest, weights))
    return "\n".join([model, *(f"  {module}: {' '.join(words)}" for module, words in lines.items())]) + "\n"


def _words(layer: str, weights: Shapes) -> Iterator[str]:
    shapes = list(weights.values())
    if tuple(weights) == (*BATCH_NORM, COUNTER):
        yield f"{layer}=~{shapes[0][0]}"
    elif tuple(weights) == ("weight",):
        yield f"{layer}={_text(shapes[0])}"
    elif tuple(weights) == ("weight", "bias") and shapes[1] == shapes[0][:1]:
        yield f"{layer}={_text(shapes[0])}+"
    else:
        yield from (f"{layer}.{name}".strip(".") + f"=!{_text(shape)}" for name, shape in weights.items())


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def decoded(text: str) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Parse a paragraph into the model's name and its weights."""
    model, *lines = text.splitlines()
    return model, {name: shape for line in lines for name, shape in _weights(*line[2:].split(": "))}


def _weights(module: str, words: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for word in words.split(" "):
        layer, _, shape = word.partition("=")
        sizes = tuple(int(size) for size in shape.strip("~+!").split("x"))
        name = f"{module}.{layer}".strip(".")
        if shape.startswith("~"):
            yield from ((f"{name}.{weight}", sizes) for weight in BATCH_NORM)
            yield f"{name}.{COUNTER}", ()
        elif shape.startswith("!"):
            yield name, sizes
        else:
            yield f"{name}.weight", sizes
            if shape.endswith("+"):
                yield f"{name}.bias", sizes[:1]


def mappings(origin: str) -> list[Path]:
    """Return the mapping files of an origin."""
    return sorted((MAPPINGS / origin).glob("*.yaml"))


def published(path: Path) -> tuple[WeightMapping, str, dict[str, tuple[int, ...]]]:
    """Return a mapping, the model of it that is in the origin's file, and its names and shapes there.

    The model is the one that `smallest` chose, which loads every model of a mapping, when the file was written.
    """
    of_model = _published_at(path.parent.name)
    mapping = read_mapping(path)
    model = next((name for name in mapping.models if name in of_model), "")
    return mapping, model, of_model.get(model, {})


@cache
def _published_at(origin: str) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the names and shapes in an origin's file, by model."""
    return dict(map(decoded, (FOLDER / f"{origin}.txt").read_text().strip().split("\n\n")))


def shapes_of(origin: str, model: str) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes that the origin's own code has, for an origin of torch modules."""
    state = importlib.import_module(LOADERS[origin][0]).module(model).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def main(origin: str) -> None:
    """Write the file of an origin."""
    models = (smallest(read_mapping(path)) for path in mappings(origin))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{origin}.txt").write_text("\n".join(encoded(model, shapes_of(origin, model)) for model in models))


if __name__ == "__main__":
    main(*sys.argv[1:])
