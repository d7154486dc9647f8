"""Linear maps in ONNX."""

from netspec.graph import Node
from netspec.ops import Dense, LayerScale, MatMul
from netspec.types import BATCH, Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Dense)
def dense(op: Dense, node: Node, out: GraphWriter) -> None:
    """`Gemm` for rank 2; else `MatMul` by the transposed weight, and `Add`."""
    (x,) = out.inputs(node)
    if op.groups != 1:
        grouped_dense(op, node, out)
    elif node.type.rank == 2:
        out.assign(node, "Gemm", x, out.weight(node, "weight"), out.weight(node, "bias"), transB=1)
    else:
        weight = out.weight(node, "weight", axes=(1, 0))
        if op.bias:
            x, operator, weight = out.step(node, "product", "MatMul", x, weight), "Add", out.weight(node, "bias")
        else:
            operator = "MatMul"
        out.assign(node, operator, x, weight)


def grouped_dense(op: Dense, node: Node, out: GraphWriter) -> None:
    """One batched `MatMul` with the groups as a leading axis: (g, N, F/g) by (g, F/g, units/g).

    For rank 3 it is (N, g, L, F/g) by the same weight, which is broadcast.
    """
    (x,) = out.inputs(node)
    *leading, features = node.input_types[0].features
    groups, width, units = op.groups, features // op.groups, op.units // op.groups
    order = (1, 0, 2) if not leading else (0, 2, 1, 3)
    split: tuple[Dim, ...] = (BATCH, *leading, groups, width)
    groups_first = tuple(split[axis] for axis in order)
    product = (*groups_first[:-1], units)
    groups_back = tuple(product[axis] for axis in order)

    x = out.step(node, "split", "Reshape", x, out.target(node, "split_shape", split), shape=split)
    x = out.step(node, "groups_first", "Transpose", x, perm=order, shape=groups_first)
    weight = out.weight(node, "weight", view=(groups, units, width), axes=(0, 2, 1))
    x = out.step(node, "product", "MatMul", x, weight, shape=product)
    x = out.step(node, "groups_back", "Transpose", x, perm=order, shape=groups_back)
    joined = out.target(node, "joined_shape", node.type.shape)
    if op.bias:
        out.assign(node, "Add", out.step(node, "joined", "Reshape", x, joined), out.weight(node, "bias"))
    else:
        out.assign(node, "Reshape", x, joined)


@lowers(LayerScale)
def layer_scale(op: LayerScale, node: Node, out: GraphWriter) -> None:
    """`Mul` by gains in a shape that broadcasts against a sample."""
    (x,) = out.inputs(node)
    aligned = (node.weights["weight"].size, *(1,) * (node.type.rank - 1 - op.axis))
    out.assign(node, "Mul", x, out.weight(node, "weight", native_shape=aligned))


@lowers(MatMul)
def matmul(op: MatMul, node: Node, out: GraphWriter) -> None:
    """`MatMul`, after a `Transpose` of transposed operands."""
    a, b = out.inputs(node)
    rank = node.type.rank
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    if op.transpose_a:
        a = out.step(node, "a", "Transpose", a, perm=swapped, shape=[node.input_types[0].shape[i] for i in swapped])
    if op.transpose_b:
        b = out.step(node, "b", "Transpose", b, perm=swapped, shape=[node.input_types[1].shape[i] for i in swapped])
    out.assign(node, "MatMul", a, b)
