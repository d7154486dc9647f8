"""Small networks that combine ops: flattens, branches, several inputs and outputs, blocks, clashing names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netspec.graph import Graph, Head, Input, Node, Scope, make_node
from netspec.ops import OPS
from netspec.types import TensorType


class Chain:
    """Builds a graph node by node. By default, each node reads the one before it."""

    def __init__(self, graph_name: str, **inputs: tuple[int, ...]) -> None:
        self._name = graph_name
        self._inputs = tuple(Input(name, TensorType.of(*shape)) for name, shape in inputs.items())
        self._values: dict[str, Input | Node] = {value.name: value for value in self._inputs}

    def add(self, layer: str, kind: str, reads: str | tuple[str, ...] = (), **attributes: object) -> Chain:
        """Append a node `layer` with an op of this kind. It reads the values `reads`; attributes are as in a spec."""
        op = OPS[kind].model_validate(attributes)
        before = () if op.inputs == (0, 0) else (next(reversed(self._values)),)
        names = (reads,) if isinstance(reads, str) else reads or before
        self._values[layer] = make_node(layer, op, [self._values[name] for name in names])
        return self

    def graph(self, *outputs: str, scopes: Sequence[Scope] = (), heads: Sequence[Head] = ()) -> Graph:
        """Return the graph. By default, its output is the last node."""
        nodes = tuple(value for value in self._values.values() if isinstance(value, Node))
        outputs = outputs or (nodes[-1].name,)
        return Graph(self._name, self._inputs, nodes, outputs, scopes=tuple(scopes), heads=tuple(heads)).check()


def towers() -> Graph:
    """A small AlexNet: asymmetric padding, LRN in groups, overlapping pools, groups, a flatten of a non-square map."""
    lrn: dict[str, Any] = {"size": 3, "alpha": 1e-4, "beta": 0.75, "k": 2, "convention": "sum", "groups": 2}
    return (
        Chain("towers", image=(3, 23, 19))
        .add("conv1", "conv2d", filters=8, kernel_size=5, stride=2, padding={"bottom": 3, "right": 2})
        .add("relu1", "relu")
        .add("norm1", "local_response_norm", **lrn)
        .add("pool1", "max_pool2d", kernel_size=3, stride=2)
        .add("conv2", "conv2d", filters=12, kernel_size=3, padding=1, groups=2)
        .add("relu2", "relu")
        .add("flatten", "flatten")
        .add("drop", "dropout", rate=0.5, mode="standard")
        .add("fc1", "dense", units=6)
        .add("relu3", "relu")
        .add("fc2", "dense", units=4, groups=2)
        .add("prob", "softmax")
        .graph()
    )


def grouped_flatten() -> Graph:
    """A flatten that is read by a grouped and by a plain dense layer, which need different orders of the features."""
    return (
        Chain("grouped_flatten", image=(4, 3, 5))
        .add("flatten", "flatten")
        .add("towers", "dense", units=6, groups=2)
        .add("whole", "dense", reads="flatten", units=6)
        .add("sum", "add", reads=("towers", "whole"))
        .graph()
    )


def normalized_flatten() -> Graph:
    """A flatten whose features are normalized, with weights per feature, before the dense layer reads them."""
    return (
        Chain("normalized_flatten", image=(3, 4, 2))
        .add("flatten", "flatten")
        .add("norm", "batch_norm")
        .add("act", "leaky_relu", negative_slope=0.2)
        .add("fc", "dense", units=5)
        .graph()
    )


def branches() -> Graph:
    """A residual sum, a gate for each channel, a concatenation, a value with several readers, three outputs."""
    return (
        Chain("branches", image=(4, 6, 5))
        .add("stem", "conv2d", filters=4, kernel_size=3, padding=1)
        .add("left", "relu", reads="stem")
        .add("right", "tanh", reads="stem")
        .add("merged", "add", reads=("left", "right", "stem"))
        .add("squeeze", "global_avg_pool2d", keepdims=True)
        .add("excite", "sigmoid")
        .add("gated", "multiply", reads=("merged", "excite"))
        .add("both", "concat", reads=("gated", "stem"))
        .add("features", "flatten")
        .add("fc", "dense", units=3)
        .graph("fc", "features", "left")
    )


def two_inputs() -> Graph:
    """Two inputs of different shapes, joined late. One of them is also read early."""
    return (
        Chain("two_inputs", image=(3, 5, 7), facts=(6,))
        .add("conv", "conv2d", reads="image", filters=4, kernel_size=3)
        .add("flatten", "flatten")
        .add("embed", "dense", reads="facts", units=5)
        .add("joined", "concat", reads=("flatten", "embed", "facts"))
        .add("fc", "dense", units=2)
        .graph()
    )


def reshaped() -> Graph:
    """Maps reshaped to tokens and back. Every step reads elements in canonical order."""
    return (
        Chain("reshaped", image=(4, 3, 6))
        .add("tokens", "reshape", shape=[4, 18])
        .add("rows", "permute", axes=[2, 1])
        .add("norm", "layer_norm")
        .add("mix", "dense", units=6)
        .add("map", "reshape", shape=[6, 6, 3])
        .add("turned", "permute", axes=[1, 3, 2])
        .add("conv", "conv2d", filters=2, kernel_size=2)
        .graph()
    )


def cropped() -> Graph:
    """Chains of slices: along several axes, twice along one, of a value with several readers, with outputs between."""
    return (
        Chain("cropped", image=(4, 9, 8))
        .add("conv", "conv2d", filters=4, kernel_size=1)
        .add("rows", "slice", axis=2, start=1, stop=-1)
        .add("columns", "slice", axis=3, start=2, stop=-1)
        .add("half", "slice", axis=1, part=0, of=2)
        .add("again", "slice", axis=2, start=1)
        .add("every", "slice", axis=3, step=2)
        .add("all", "slice", axis=1)
        .add("act", "tanh")
        .add("shown", "slice", reads="conv", axis=2, start=2, stop=5)
        .add("inner", "slice", axis=3, start=5)
        .add("twice", "slice", reads="conv", axis=2, start=-3)
        .add("left", "slice", axis=3, start=0, stop=3)
        .add("right", "slice", reads="twice", axis=3, start=5)
        .add("sum", "add", reads=("left", "right", "inner"))
        .graph("act", "shown", "sum")
    )


def squeeze_excitation() -> Graph:
    """Squeeze-and-excitation: a gate for each channel by two 1x1 convolutions, on a scaled residual branch."""
    return (
        Chain("squeeze_excitation", image=(4, 6, 5))
        .add("depthwise", "conv2d", filters=4, kernel_size=3, padding=1, groups=4)
        .add("act", "hard_swish")
        .add("squeeze", "global_avg_pool2d", keepdims=True)
        .add("reduce", "conv2d", filters=2, kernel_size=1)
        .add("between", "relu")
        .add("expand", "conv2d", filters=4, kernel_size=1)
        .add("gate", "hard_sigmoid")
        .add("gated", "multiply", reads=("act", "gate"))
        .add("scale", "layer_scale")
        .add("sum", "add", reads=("image", "scale"))
        .graph()
    )


def transformer() -> Graph:
    """A layer of a vision transformer with class token and position embeddings, and attention over explicit heads."""
    return (
        Chain("transformer", image=(3, 8, 12))
        .add("patches", "conv2d", filters=6, kernel_size=4, stride=4)
        .add("rows", "reshape", shape=[6, -1])
        .add("tokens", "permute", axes=[2, 1])
        .add("token", "parameter", shape=[1, 6])
        .add("all", "concat", reads=("token", "tokens"))
        .add("positions", "parameter", shape=[7, 6])
        .add("placed", "add", reads=("all", "positions"))
        .add("norm1", "layer_norm", epsilon=1e-6)
        .add("attention", "multi_head_attention", heads=2)
        .add("sum1", "add", reads=("placed", "attention"))
        .add("norm2", "layer_norm", epsilon=1e-6)
        .add("wide", "dense", units=12)
        .add("act", "gelu")
        .add("narrow", "dense", units=6)
        .add("sum2", "add", reads=("sum1", "narrow"))
        .add("parts", "reshape", shape=[7, 2, 3])
        .add("heads", "permute", axes=[2, 1, 3])
        .add("attended", "scaled_dot_product_attention", reads=("heads", "heads", "heads"))
        .add("first", "slice", reads="sum2", stop=1)
        .add("flat", "flatten")
        .add("fc", "dense", units=3)
        .graph("fc", "attended")
    )


def shown_input() -> Graph:
    """An input that is an output, an output that is read by other nodes, and an identity."""
    return (
        Chain("shown_input", image=(2, 3, 4))
        .add("same", "identity")
        .add("act", "relu")
        .add("scaled", "dropout", rate=0.25)
        .graph("image", "same", "act", "scaled")
    )


def clashing_names() -> Graph:
    """Layers with the names of modules, attributes and methods of the frameworks and of the emitted source."""
    chain = Chain("clashing_names", input=(3, 6, 6)).add("forward", "conv2d", filters=3, kernel_size=1)
    names = (
        "x train eval self torch nn F Tensor keras layers ops model inputs outputs type float print list T_destination "
        "name trainable build call weights dtype metrics math np len object super add_module state_dict"
    )
    for name in names.split():
        chain.add(name, "conv2d", filters=3, kernel_size=1)
    return chain.add("sum", "add", reads=("x", "self", "F", "keras", "layers", "state_dict")).graph("sum", "nn", "ops")


def residual_blocks() -> Graph:
    """A stack of residual blocks with different arguments, one of them with a nested block, and a head."""
    chain, scopes, before = Chain("residual_blocks", image=(4, 7, 6)), [Scope("stage")], "image"
    for index, (width, stride, shortcut) in enumerate([(4, 1, False), (6, 2, True), (6, 1, False), (6, 1, False)]):
        path, skip = f"stage.{index}", before
        scopes.append(Scope(path, "residual", (("width", width), ("stride", stride))))
        if shortcut:
            scopes.append(Scope(f"{path}.shortcut", "projection"))
            chain.add(f"{path}.shortcut.conv", "conv2d", before, filters=width, kernel_size=1, stride=stride)
            skip = f"{path}.shortcut.norm"
            chain.add(skip, "batch_norm")
        chain.add(f"{path}.conv", "conv2d", before, filters=width, kernel_size=3, stride=stride, padding=1)
        chain.add(f"{path}.drop", "dropout", rate=0.25 if shortcut else 0.5)
        chain.add(f"{path}.sum", "add", (f"{path}.drop", skip))
        before = f"{path}.sum"
    chain.add("gate.left", "relu").add("gate.right", "tanh", before)
    chain.add("sum", "multiply", ("gate.left", "gate.right")).add("flatten", "flatten")
    scopes += [Scope("gate", "gate"), Scope("head", "head")]
    return chain.add("head.norm", "batch_norm").add("head.fc", "dense", units=3).graph(scopes=scopes)


def dissolved_blocks() -> Graph:
    """Scopes that cannot be emitted as blocks: an instance with a foreign node between its nodes, a stack with a node
    outside of its instances, a node whose name collides with a flattened path, an empty instance, a stack with gaps.
    """
    return (
        Chain("dissolved_blocks", image=(3, 5, 4))
        .add("torn.a", "conv2d", filters=3, kernel_size=1)
        .add("between", "relu")
        .add("torn.b", "conv2d", filters=3, kernel_size=1)
        .add("stack.0.a", "conv2d", filters=3, kernel_size=1)
        .add("stack.extra", "tanh")
        .add("stack_0_a", "conv2d", filters=3, kernel_size=1)
        .add("gone.2.a", "conv2d", filters=3, kernel_size=1)
        .add("gone.5.a", "conv2d", filters=3, kernel_size=1)
        .graph(
            scopes=[
                *(Scope("torn", "unit"), Scope("stack"), Scope("stack.0", "unit"), Scope("empty", "unit")),
                *(Scope("gone"), Scope("gone.2", "unit"), Scope("gone.5", "unit")),
            ]
        )
    )


def auxiliary_heads() -> Graph:
    """Two auxiliary outputs: one at the end of a separate branch, one of an inner node of the trunk."""
    return (
        Chain("auxiliary_heads", image=(3, 7, 6))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "batch_norm")
        .add("act", "relu")
        .add("flatten", "flatten")
        .add("early", "dense", units=5)
        .add("late", "tanh")
        .add("fc", "dense", units=5)
        .add("side", "global_avg_pool2d", reads="act")
        .add("side_drop", "dropout", rate=0.5)
        .add("side_fc", "dense", units=5)
        .graph("fc", "early", "side_fc", heads=[Head("first", "early"), Head("second", "side_fc")])
    )


NETWORKS: Mapping[str, Callable[[], Graph]] = {
    build.__name__: build
    for build in (
        towers,
        grouped_flatten,
        normalized_flatten,
        branches,
        two_inputs,
        reshaped,
        cropped,
        squeeze_excitation,
        transformer,
        shown_input,
        clashing_names,
        residual_blocks,
        dissolved_blocks,
        auxiliary_heads,
    )
}
