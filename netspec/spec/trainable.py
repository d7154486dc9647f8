"""What cannot be trained, whatever the data: `netspec check` reports it, and training refuses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netspec.errors import NetspecError
from netspec.graph import Graph
from netspec.graph.training import classes_of, map_size, training_graph
from netspec.recipe.optimizer import CURVATURE
from netspec.spec.elaborate import elaborate

if TYPE_CHECKING:
    from netspec.recipe import Recipe
    from netspec.spec.model import ModelSpec


def require_trainable(spec: ModelSpec) -> Graph:
    """The graph of a spec with a recipe, which can be trained, a generator with its discriminator.

    Raises:
        NetspecError: as for `trainable_graph`, or `trainable_pair` of a generator.
        SpecError: shapes do not fit.
    """
    graph = elaborate(spec)
    if spec.discriminator is not None:
        from netspec.spec.pair import trainable_pair  # noqa: PLC0415 # few specs have one

        trainable_pair(spec)
    elif spec.training is not None:
        trainable_graph(graph, spec.training)
    return graph


def graph_with_logits(graph: Graph, recipe: Recipe | None) -> Graph:
    """The training graph of a network under a recipe; see `training_graph` for its errors."""
    return training_graph(graph, recipe.label_loss.constant_logit if recipe else None)


def trainable_graph(graph: Graph, recipe: Recipe) -> Graph:
    """The training graph of a network whose recipe fits it.

    Raises:
        NetspecError: the network has several inputs or outputs, no weights, or no logits of two classes or more; or a
            layer has no curvature, for which its optimizer asks; or the recipe has something for images, and the input
            is none, or for one label each, and pixels are labelled.
    """
    graph = graph_with_logits(graph, recipe)
    require_two_classes(graph)
    require_curvature(graph, recipe)
    if map_size(graph) is not None:
        _require_recipe_of_masks(graph, recipe)
    if len(graph.inputs[0].type.features) != 3:
        require_recipe_of_features(graph.name, recipe, f"its input is {list(graph.inputs[0].type.features)}")
    return graph


def require_curvature(graph: Graph, recipe: Recipe) -> None:
    """Raise NetspecError if an optimizer reads the curvature of the loss, and a layer of a training graph has none."""
    if CURVATURE not in recipe.optimizer.slots:
        return
    needed = graph.needed(graph.outputs)
    first: dict[str, str] = {}
    for node in graph.nodes:
        if node.name in needed and not node.op.has_curvature():
            first.setdefault(node.op.kind, node.name)
    if first:
        listed = ", ".join(f"{name} ({kind})" for kind, name in first.items())
        raise NetspecError(
            f"{graph.name}: its optimizer, {recipe.optimizer.name}, needs second derivatives of the loss, which "
            f"are not defined through {listed}",
            "train it with another optimizer, such as sgd; or without these layers",
        )


def require_two_classes(graph: Graph) -> None:
    """Raise NetspecError if a training graph gives a single logit."""
    if classes_of(graph) == 1:
        raise NetspecError(
            f"{graph.name} gives one logit, whose softmax is always 1: there is nothing to learn",
            "a network has a logit for each class: two, to tell yes from no; or one, and "
            "`loss: {name: softmax_cross_entropy, constant_logit: 0}` in the recipe for the class of no",
        )


def require_recipe_of_features(name: str, recipe: Recipe, reason: str) -> None:
    """Raise NetspecError if a recipe has something for images alone."""
    image_settings = [*recipe.augmentation.image_only, *(["views: 10"] if recipe.evaluation.views != 1 else [])]
    if image_settings:
        raise NetspecError(
            f"{name}: its recipe has {', '.join(image_settings)} for images, and {reason}",
            "images are uint8, 0 to 255: save them so if they are images; else leave this out of the recipe",
        )


def _require_recipe_of_masks(graph: Graph, recipe: Recipe) -> None:
    """Raise NetspecError if a recipe has something that images with masks do not take."""
    if recipe.evaluation.views != 1:
        raise NetspecError(
            f"{graph.name}: its recipe scores {recipe.evaluation.views} views of an image, which have no mask in "
            "common",
            "leave out training.evaluation.views: an image with a mask is scored whole",
        )
    if recipe.augmentation.without_masks:
        raise NetspecError(
            f"{graph.name}: its recipe has {', '.join(recipe.augmentation.without_masks)} for images with one label "
            f"each, and the output {graph.outputs[0]} is a map, to be trained with masks",
            "leave this out of the recipe",
        )
