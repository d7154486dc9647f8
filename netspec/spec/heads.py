"""Checks the outputs of a network against the loss of its recipe: auxiliary heads and pixel weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netspec.graph import Graph
from netspec.spec.model import LayerSpec, UseSpec, layer_of
from netspec.spec.text.document import Entry, Position, Problems, quote
from netspec.spec.text.hints import suggest

if TYPE_CHECKING:
    from netspec.recipe import Recipe


def check_heads(
    recipe: Recipe, entries: Mapping[str, Entry], heads: Mapping[str, Position] | None, problems: Problems
) -> None:
    """Report weights of the loss for heads that do not exist, and heads without a weight.

    Args:
        recipe: recipe of the spec.
        entries: entries of the document, for positions.
        heads: names under `auxiliary:`, dropped layers included, with their positions; None if they cannot be known.
        problems: collects the problems.
    """
    if heads is None:
        return
    for name in recipe.label_loss.auxiliary:
        if name not in heads:
            hint = suggest(name, heads, "there are") if heads else "list it under `auxiliary:` beside `outputs:`"
            at = entries["training"].within("loss", "auxiliary", name).at
            problems.add(at, f"there is no auxiliary output {quote(name)}", hint)
    for name, at in heads.items():
        if name not in recipe.label_loss.auxiliary:
            message = f"the auxiliary output {quote(name)} has no weight in the loss"
            problems.add(at, message, f"for example `training: {{loss: {{auxiliary: {{{name}: 0.3}}}}}}`")


def check_shapes(graph: Graph, layers: Mapping[str, LayerSpec | UseSpec], problems: Problems) -> None:
    """Report auxiliary outputs of another shape than the main output: their losses use the same labels."""
    main = next((name for name in graph.main if name in graph.values), None)
    if main is None:
        return
    for name, value in graph.heads:
        if value in graph.values and graph.type_of(value) != graph.type_of(main):
            message = f"the auxiliary output {quote(name)} is {graph.type_of(value)}"
            expected = f"expected {graph.type_of(main)} as {quote(main)} is"
            problems.add(layers[layer_of(name)].at, f"{message}, {expected}")


def check_pixels(
    recipe: Recipe | None, graph: Graph, layers: Mapping[str, LayerSpec | UseSpec], problems: Problems
) -> None:
    """Report `pixel_weights` in the loss of a network whose outputs are not class scores for each pixel."""
    if recipe is None or recipe.label_loss.pixel_weights is None:
        return
    for name in graph.main:
        if name in graph.values and graph.type_of(name).rank != 4 and layer_of(name) in layers:
            message = f"the loss has `pixel_weights`, and the output {quote(name)} is {graph.type_of(name)}"
            hint = "they need a class for each pixel, (N, classes, H, W): leave out training.loss.pixel_weights"
            problems.add(layers[layer_of(name)].at, message, hint)
