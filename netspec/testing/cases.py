"""Test cases of single ops: a one-node graph for each sample of an op, with inputs and weights that expose errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netspec.graph import Graph, Input, Node, make_node
from netspec.graph.text import print_node
from netspec.ops import (
    OPS,
    Abs,
    BatchNorm,
    Clip,
    Elu,
    HardSigmoid,
    HardSwish,
    L2Normalize,
    LeakyRelu,
    Maximum,
    Minimum,
    Op,
    Power,
    PRelu,
    ReduceL2,
    ReduceMax,
    ReduceMin,
    Relu,
    Relu6,
    RmsNorm,
    Sample,
)
from netspec.ops.base import Array
from netspec.types import TensorType
from netspec.weights import stream

WEIGHT = 0.25  # the value of every weight in a `Corner`
BATCHES = (1, 2, 7)  # batch sizes: one, even and odd
NODE = "layer"


@dataclass(frozen=True, eq=False)  # it is a key of what is computed once for a case
class SampleCase:
    """A sample of an op as a graph of one node, with inputs and weights."""

    sample: Sample
    graph: Graph

    @classmethod
    def of(cls, sample: Sample) -> SampleCase:
        """Return the case that applies the sample's op to inputs of the sample's shapes."""
        inputs = tuple(Input(f"in{i}", TensorType.of(*shape)) for i, shape in enumerate(sample.inputs))
        node = make_node(NODE, sample.op, () if sample.op.inputs == (0, 0) else inputs)
        return cls(sample, Graph(f"sample_{sample.op.kind}", inputs, (node,), (NODE,)))

    @property
    def node(self) -> Node:
        """The only node of the graph."""
        return self.graph.nodes[0]

    def __str__(self) -> str:
        return print_node(self.node).split(" = ")[1] + "".join(f" {i.type}" for i in self.graph.inputs)

    def inputs(self, batch: int, *, zeros: bool = True) -> dict[str, Array]:
        """Return signed float32 inputs at the sample's scale, restricted to the domain of the op.

        Args:
            batch: the batch size.
            zeros: set some values to exactly 0. Disabled to compare derivatives, which may not exist there.
        """
        arrays: dict[str, Array] = {}
        domains = self.sample.domains or ("any",) * len(self.graph.inputs)
        for value, domain in zip(self.graph.inputs, domains, strict=True):
            random = stream(0, "sample", value.name, str(self))
            array = random.standard_normal(value.type.concrete(batch), np.float32) * np.float32(self.sample.scale)
            if domain != "any":
                array += np.copysign(np.float32(self.sample.scale / 2), array)
            if domain in ("not_negative", "positive"):
                array = np.abs(array)
            if zeros and domain in ("any", "not_negative"):
                array[random.random(array.shape) < 0.1] = 0.0
            arrays[value.name] = array
        return arrays

    def weights(self) -> dict[str, Array]:
        """Return signed random float32 weights; variances are positive."""
        arrays: dict[str, Array] = {}
        for name, weight in self.graph.weights.items():
            random = stream(0, "sample weight", name, str(self))
            positive = isinstance(self.node.op, BatchNorm) and name.endswith("variance")
            array = random.standard_normal(weight.shape, np.float32)
            arrays[name] = np.abs(array) + np.float32(0.5) if positive else array
        return arrays


@dataclass(frozen=True)
class Corner:
    """A point at which the derivative of an op is not unique, or where an implementation easily returns NaN.

    Attributes:
        op: the op; each of its weights is `WEIGHT`.
        x: the features of one sample, the same in every input.
        slopes: the expected gradient of the sum of the outputs with respect to each input.
    """

    op: Op
    x: tuple[float, ...]
    slopes: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.op.kind} at {', '.join(f'{each:g}' for each in self.x)}"


CORNERS = (
    Corner(Relu(), (0.0,), (0.0,)),
    Corner(Relu6(), (0.0, 6.0), (0.0, 0.0)),
    Corner(LeakyRelu(negative_slope=0.3), (0.0,), (0.3,)),
    Corner(PRelu(shared=True), (0.0, 0.0), (WEIGHT, WEIGHT)),
    Corner(PRelu(), (0.0, 0.0, 0.0), (WEIGHT, WEIGHT, WEIGHT)),
    Corner(Elu(alpha=2.0), (0.0,), (2.0,)),
    Corner(HardSigmoid(), (-3.0, 3.0), (0.0, 0.0)),
    Corner(HardSwish(), (-3.0, 3.0), (0.0, 1.0)),
    Corner(Abs(), (0.0,), (0.0,)),
    Corner(Clip(min=-1.0, max=1.0), (-2.0, -1.0, 1.0, 2.0), (0.0, 1.0, 1.0, 0.0)),
    Corner(Clip(min=0.5), (0.0, 0.5), (0.0, 1.0)),
    Corner(Clip(max=0.5), (1.0, 0.5), (0.0, 1.0)),
    Corner(Power(exponent=2.0), (0.0,), (0.0,)),
    Corner(Power(exponent=1.5), (0.0,), (0.0,)),
    Corner(Power(exponent=1.0), (0.0,), (1.0,)),
    Corner(Power(exponent=0.5), (0.0,), (math.inf,)),
    Corner(Power(exponent=-1.0), (0.0,), (-math.inf,)),
    Corner(ReduceMax(axes=(1,)), (3.0, 1.0, 3.0), (0.5, 0.0, 0.5)),
    Corner(ReduceMin(axes=(1,)), (3.0, 1.0, 1.0), (0.0, 0.5, 0.5)),
    Corner(Maximum(), (3.0, 0.0), (0.5, 0.5)),
    Corner(Minimum(), (3.0, 0.0), (0.5, 0.5)),
    Corner(ReduceL2(axes=(1,), keepdims=True), (0.0, 0.0), (0.0, 0.0)),
    Corner(L2Normalize(epsilon=0.5), (0.0, 0.0), (2.0, 2.0)),
    Corner(RmsNorm(epsilon=0.25, affine=False), (0.0, 0.0), (2.0, 2.0)),
)
"""The gradients that the docstrings of the ops specify, and that finite differences cannot verify."""


def sample_cases(*ops: type[Op]) -> Iterator[SampleCase]:
    """Yield a case for every sample of these ops, or of all ops if none is given."""
    for op in ops or OPS.values():
        for sample in op.samples():
            yield SampleCase.of(sample)
