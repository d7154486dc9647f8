"""The inputs of a run, gathered before any framework loads: recipe, data, and the spec resolved against the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netspec.errors import NetspecError
from netspec.graph import Graph, Input, Normalization, Preprocessing
from netspec.graph.training import classes_of, map_size
from netspec.preprocessing import normalization, resolve_mean
from netspec.progress import Progress, silent
from netspec.recipe import Recipe
from netspec.spec import ModelSpec, elaborate
from netspec.spec.pair import trainable_pair
from netspec.spec.trainable import require_recipe_of_features, require_two_classes, trainable_graph
from netspec.training.adversarial import Opponent
from netspec.training.data.census import absent_pixels, census
from netspec.training.data.dataset import Dataset, Splits
from netspec.training.data.findings import numbered_classes
from netspec.training.data.pixel_weights import balance_of
from netspec.training.data.statistics import Components, Statistics, statistics_of
from netspec.training.data.targets import MapRule

RECIPE = "training: {batch_size: 128, epochs: 10, optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9}}"


@dataclass(frozen=True)
class Material:
    """The network, the recipe and the data of a run.

    Attributes:
        spec: the spec, with a mean over the training set resolved to numbers, a discriminator's too.
        graph: the training graph, whose main output is the logits.
        recipe: the recipe of the spec.
        splits: the training and the validation set.
        normalization: the normalization of images; None for features.
        components: the principal components of the training set's colors, if the recipe adds noise along them.
        rule: how masks become labels; None unless the network is for segmentation.
        opponent: of a generator, its discriminator, which sees the data.
    """

    spec: ModelSpec
    graph: Graph
    recipe: Recipe
    splits: Splits
    normalization: Normalization | None
    components: Components | None
    rule: MapRule | None = None
    opponent: Opponent | None = None

    @property
    def reader(self) -> Graph:
        """The graph that the samples of the data are for: the network's, or its discriminator's."""
        return self.opponent.graph if self.opponent is not None else self.graph

    @property
    def input(self) -> Input:
        """The one input that the samples of the data become."""
        return self.reader.inputs[0]


def recipe_of(spec: ModelSpec) -> Recipe:
    """The recipe of a spec.

    Raises:
        NetspecError: the spec has no recipe.
    """
    if spec.training is None:
        raise NetspecError(f"{spec.name}: the spec has no recipe: nothing says how to train it", f"add `{RECIPE}`")
    return spec.training


def gather(spec: ModelSpec, splits: Splits, progress: Progress = silent) -> Material:
    """Check a spec against the data, and fill in what depends on the data, such as the mean image.

    Raises:
        NetspecError: the spec has no recipe, is no classifier with one input, has fewer classes than the data, or
            needs something that the data lack: a validation set for a plateau, images for a crop, masks.
    """
    recipe = recipe_of(spec)
    if spec.discriminator is not None:
        return _gather_pair(spec, spec.discriminator, recipe, splits, progress)
    graph = trainable_graph(elaborate(spec), recipe)
    require_classes(graph, splits.training)
    rule = map_rule(graph)
    if rule is not None:
        counts = census(splits.training, rule.classes, progress)
        splits = replace(splits, notes=(*splits.notes, *absent_pixels(splits.training, counts)))
        rule = replace(rule, weights=recipe.label_loss.pixel_weights, balance=balance_of(counts))
    elif unused := unused_classes(graph, splits.training, recipe):
        splits = replace(splits, notes=(*splits.notes, f"{unused}: {_set_classes(splits.training)}"))
    if recipe.schedule.name == "plateau" and splits.validation is None:
        raise NetspecError(
            f"{spec.name}: its schedule waits for the validation error to stop falling, and there is no validation set",
            "give one with --validation or --holdout, or another --set training.schedule.name",
        )
    if not splits.training.images:
        require_recipe_of_features(spec.name, recipe, "the data are features")
        return Material(spec, graph, recipe, splits, None, None, rule)
    resolved, how, components = _with_images(spec, graph, recipe, splits, progress)
    if resolved is not spec:
        spec, graph = resolved, trainable_graph(elaborate(resolved), recipe)
    return Material(spec, graph, recipe, splits, how, components, rule)


def _gather_pair(
    spec: ModelSpec, discriminator: ModelSpec, recipe: Recipe, splits: Splits, progress: Progress
) -> Material:
    """As `gather`, of a generator and its discriminator."""
    pair = trainable_pair(spec)
    if splits.training.maps:
        raise NetspecError(f"{splits.training.origin} has masks, and {spec.name} generates images alone")
    how: Normalization | None = None
    components: Components | None = None
    if splits.training.images:
        discriminator, how, components = _with_images(discriminator, pair.discriminator, recipe, splits, progress)
        spec = replace(spec, discriminator=discriminator)
        pair = trainable_pair(spec)
    else:
        require_recipe_of_features(spec.name, recipe, "the data are features")
    assert discriminator.training is not None  # noqa: S101 # a pair has two recipes
    opponent = Opponent(pair.discriminator, discriminator.training)
    return Material(spec, pair.generator, recipe, splits, how, components, opponent=opponent)


def _with_images(
    spec: ModelSpec, graph: Graph, recipe: Recipe, splits: Splits, progress: Progress
) -> tuple[ModelSpec, Normalization, Components | None]:
    """A spec with the preprocessing of these images, their normalization, and their components if they are needed."""
    preprocessing = image_preprocessing(graph)
    shape = graph.inputs[0].type.features
    statistics: Statistics | None = None
    if isinstance(preprocessing.mean, str) or recipe.augmentation.color_noise:
        statistics = statistics_of(splits.training, preprocessing, shape[1], shape[2], progress)
        if isinstance(preprocessing.mean, str):
            image = statistics.mean_image if preprocessing.mean == "per_pixel" else statistics.mean_channel
            preprocessing = resolve_mean(preprocessing, image)
    if preprocessing != graph.inputs[0].preprocessing:
        spec = replace(spec, inputs=(replace(spec.inputs[0], preprocessing=preprocessing),))
    components = statistics.components if statistics and recipe.augmentation.color_noise else None
    return spec, normalization(preprocessing, shape), components


def image_preprocessing(graph: Graph) -> Preprocessing:
    """The preprocessing of images: the spec's, or by default one that leaves the pixel values unchanged.

    Raises:
        NetspecError: the shape of the network's input is not that of an image.
    """
    value = graph.inputs[0]
    features = value.type.features
    if len(features) != 3 or features[0] not in (1, 3):
        raise NetspecError(
            f"{graph.name}: images become an input of [1, H, W] or [3, H, W], and {value.name} is {list(features)}",
            "give features: an .npz with floating-point `x` of that shape and integer `y`",
        )
    return value.preprocessing or Preprocessing(channel_order="gray" if features[0] == 1 else "rgb")


def map_rule(graph: Graph) -> MapRule | None:
    """How masks become the labels of a segmentation network; None for a classifier of whole samples."""
    size = map_size(graph)
    return MapRule(classes_of(graph), size) if size else None


def require_classes(graph: Graph, dataset: Dataset) -> None:
    """Raise NetspecError if a dataset has more classes than the network, or labels pixels where it labels samples."""
    if dataset.maps != (map_size(graph) is not None):
        output = f"{graph.name} gives {graph.type_of(graph.outputs[0])}"
        raise NetspecError(
            f"{output}, the class of each sample, and {dataset.origin} has masks, the class of each pixel"
            if dataset.maps
            else f"{output}, the class of each pixel, and {dataset.origin} has one label a sample",
            ""
            if dataset.maps
            else "give a folder with `images` and `masks` of the same names, or an .npz with `images` and `masks`",
        )
    require_two_classes(graph)
    classes = classes_of(graph)
    if len(dataset.classes) > classes:
        numbered = not dataset.maps and dataset.classes == numbered_classes(dataset.labels)
        unused = int(dataset.labels.min()) if numbered else 0
        raise NetspecError(
            _both_numbers(graph, dataset),
            f"no sample is of class 0: numbers of classes that begin at {unused} are to be less by {unused}"
            if 0 < len(dataset.classes) - unused <= classes
            else _set_classes(dataset),
        )


def unused_classes(graph: Graph, dataset: Dataset, recipe: Recipe | None) -> str:
    """What to say if a network has more classes than a dataset, so that it has samples of the first ones alone.

    Empty if it has not, and for masks, whose classes are not known before they are read. The class of a constant logit
    needs no samples.
    """
    added = recipe is not None and recipe.label_loss.constant_logit is not None
    fewer = not dataset.maps and len(dataset.classes) < classes_of(graph) - added
    return _both_numbers(graph, dataset) if fewer else ""


def _both_numbers(graph: Graph, dataset: Dataset) -> str:
    return f"{graph.name} has {classes_of(graph)} classes, and {dataset.origin} has {len(dataset.classes)}"


def _set_classes(dataset: Dataset) -> str:
    return f"--set classes={len(dataset.classes)}, where the spec has this parameter"
