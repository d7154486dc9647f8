"""A batch of samples to train on, and the checks that every trainer makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netspec.arrays import np
from netspec.errors import BackendError
from netspec.graph import Graph, Input
from netspec.ops import BatchNorm

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNLABELLED: Final = -1  # the label of a pixel whose class is unknown; it is left out of the loss


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that go through the network together.

    Attributes:
        inputs: images (N, H, W, C), already augmented, in uint8, or in float32 if augmentation gave fractions; or
            features, floating-point in canonical layout (N, …). Units: of images, pixel values.
        labels: class numbers. Shape: (N,); for segmentation (N, H, W), with H and W of the logits, and `UNLABELLED`
            where the class is unknown. For two mixed samples, the class with the larger share; `StepResult.wrong`
            counts by it.
        rows: the index of each sample among all samples of the optimizer step, over batches and ranks. Shape: (N,).
        shifts: offsets added to every pixel of an image before normalization, or None. Shape: (N, C). Units: pixel
            values.
        masks: dropout masks by name of the dropout node, 1 where a value is kept, in canonical layout (N, …); None
            if the framework's generator is to draw them.
        partners: for mixed samples, the class with the smaller share; None if nothing is mixed. Shape: (N,).
        shares: the share of `labels` in the targets; `partners` have the rest. Shape: (N,). Units: 0.5 to 1.
        weights: for segmentation, a factor for each pixel's loss; None for 1. Shape: (N, H, W).
        cotangents: what the loss is instead of a cross-entropy of labels, which then mean nothing: the loss of a sample
            is the inner product of these with the main output, so that their sum over the samples is pulled back
            through the network. None for labelled samples. Shape: that of the main output.

    Raises:
        BackendError: only one of partners and shares is given, or one has the wrong shape.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    shifts: NDArray[np.float32] | None = None
    masks: Mapping[str, NDArray[np.bool_]] | None = None
    partners: NDArray[np.int64] | None = None
    shares: NDArray[np.float64] | None = None
    weights: NDArray[np.float32] | None = None
    cotangents: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        shapes = [None if array is None else array.shape for array in (self.partners, self.shares)]
        expected = [self.labels.shape, self.labels.shape[:1]]
        if shapes not in ([None, None], expected):
            raise BackendError(
                f"partners and shares: expected neither, or shapes {expected[0]} and {expected[1]}, received "
                f"{shapes[0]} and {shapes[1]}"
            )

    def require_targets(self, classes: int, size: Sequence[int]) -> None:
        """Check the shapes of labels and pixel weights, and that labels and partners are class numbers; or cotangents.

        Args:
            classes: the number of classes in the logits, or of channels in the output.
            size: height and width of the logits for segmentation, or the other axes of the output; else empty.

        Raises:
            BackendError: a shape is wrong, or a label is not a class number.
        """
        if self.cotangents is not None:
            output = (len(self.inputs), classes, *size)
            if self.cotangents.shape != output:
                raise BackendError(f"cotangents: expected shape {output}, received {self.cotangents.shape}")
            return
        expected = (len(self.inputs), *size)
        for name, array in (("labels", self.labels), ("weights of pixels", self.weights)):
            if array is not None and array.shape != expected:
                raise BackendError(f"{name}: expected shape {expected}, received {array.shape}")
        least = UNLABELLED if size else 0
        for labels in (self.labels, self.partners):
            if labels is not None and labels.size and not (labels.min() >= least and labels.max() < classes):
                bad = labels[(labels < least) | (labels >= classes)][0]
                raise BackendError(f"expected labels 0 to {classes - 1}, received {bad}")

    def part(self, samples: slice) -> Batch:
        """The batch of some of the samples."""
        return Batch(
            self.inputs[samples],
            self.labels[samples],
            self.rows[samples],
            None if self.shifts is None else self.shifts[samples],
            None if self.masks is None else {name: mask[samples] for name, mask in self.masks.items()},
            None if self.partners is None else self.partners[samples],
            None if self.shares is None else self.shares[samples],
            None if self.weights is None else self.weights[samples],
            None if self.cotangents is None else self.cotangents[samples],
        )


def require_statistics(graph: Graph, samples: int) -> None:
    """Check that a batch of this many samples, over all ranks, has a variance in every batch normalization.

    A channel with a single value has none. PyTorch raises an error then; Keras divides by 0 or returns the bias.

    Raises:
        BackendError: a batch normalization would have a single value of each channel.
    """
    if samples != 1:
        return
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm) and math.prod(graph.type_of(node.inputs[0]).features[1:]) == 1:
            raise BackendError(
                f"{node.name}: batch normalization in training needs more than one value of each channel, and a batch "
                "of one sample has one",
                "--set training.last_batch=drop, or another training.batch_size",
            )


def require_inputs(
    value: Input,
    inputs: NDArray[Any],
    shifts: NDArray[Any] | None = None,
    *,
    images: bool,
    in_training: bool = False,
) -> None:
    """Check the inputs of a network as `Batch` describes them.

    Args:
        value: the network's input.
        inputs: images or features.
        shifts: the color shifts of the images.
        images: whether the inputs are images, which the trainer normalizes.
        in_training: whether pixels may be in float32, which augmentation gives.

    Raises:
        BackendError: the inputs are of another size or dtype, or the shifts of another shape.
    """
    features = value.type.features
    expected, what = ((*features[1:], features[0]), "images") if images else (features, "features")
    if inputs.shape[1:] != expected:
        raise BackendError(f"{what}: expected shape {expected}, received {inputs.shape[1:]}")
    if images and inputs.dtype != np.uint8 and not (in_training and inputs.dtype == np.float32):
        dtypes = "uint8 or float32" if in_training else "uint8"
        raise BackendError(f"{what}: expected {dtypes}, received {inputs.dtype}")
    if shifts is not None and shifts.shape != (len(inputs), features[0]):
        raise BackendError(f"shifts: expected shape {(len(inputs), features[0])}, received {shifts.shape}")


def require_masks(masks: Mapping[str, NDArray[np.bool_]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that dropout masks are those of a network.

    Args:
        masks: the masks by name of the dropout node.
        shapes: the shape of each node's mask.

    Raises:
        BackendError: a mask is missing, of no dropout node, or of another shape.
    """
    if masks.keys() != shapes.keys():
        expected, received = (", ".join(sorted(names)) or "none" for names in (shapes, masks))
        raise BackendError(f"expected masks of the dropout nodes {expected}, received {received}")
    for name, mask in masks.items():
        if mask.shape != shapes[name]:
            raise BackendError(f"the mask of {name}: expected shape {shapes[name]}, received {mask.shape}")
