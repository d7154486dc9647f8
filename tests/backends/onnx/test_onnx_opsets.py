"""Every op at every opset: the model passes the full checker, and agrees with the graph's shapes and the reference.

The samples of all ops are one model here: what a model and a session cost is then paid once for each opset. That each
is right in a model of its own is shown at the default opset, by the conformance suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import onnx
import pytest
from netspec_onnx import OnnxBackend
from netspec_onnx.opset import DEFAULT_OPSET, OLDEST_OPSET, newest_opset

from netspec import reference
from netspec.errors import BackendError
from netspec.graph import Graph, Input, Node, make_node
from netspec.lowering import Artifact, find_backend
from netspec.lowering.broadcast import broadcastable_nodes
from netspec.ops.base import Array, Weights
from netspec.testing.cases import BATCHES, SampleCase, sample_cases
from netspec.testing.networks import NETWORKS
from netspec.types import BATCH, DType
from netspec.verify.compare import require_close

NEWEST = newest_opset()
OPSETS = range(OLDEST_OPSET, NEWEST + 1)
CASES = list(sample_cases())


@cache
def samples() -> tuple[Graph, dict[str, SampleCase]]:
    """Return the graph of all samples, each with inputs of its own, and the case of each node: `conv2d_3` and so on."""
    inputs: list[Input] = []
    cases: dict[str, SampleCase] = {}
    nodes: list[Node] = []
    counts: Counter[str] = Counter()
    for case in CASES:
        kind = case.node.op.kind
        name = f"{kind}_{counts[kind]}"
        counts[kind] += 1
        own = [Input(f"{name}_{value.name}", value.type) for value in case.graph.inputs]
        inputs += own
        nodes.append(make_node(name, case.node.op, own if case.node.inputs else ()))
        cases[name] = case
    return Graph("samples", tuple(inputs), tuple(nodes), tuple(cases)).check(), cases


@cache
def lowered(opset: int, dtype: DType = DType.FLOAT32) -> Artifact:
    """Return the artifact of all samples."""
    return OnnxBackend(opset=opset).lower(samples()[0].astype(dtype))


@cache
def weights_of_samples() -> Weights:
    """Return the weights of every case."""
    _, cases = samples()
    return {
        f"{name}.{weight.split('.', 1)[1]}": array
        for name, case in cases.items()
        for weight, array in case.weights().items()
    }


@cache
def expected(batch: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the inputs of every case, and the values of the reference."""
    inputs: dict[str, Array] = {}
    outputs: dict[str, Array] = {}
    for name, case in samples()[1].items():
        own = case.inputs(batch)
        inputs |= {f"{name}_{value}": array for value, array in own.items()}
        (outputs[name],) = reference.evaluate(case.graph, case.weights(), own).values()
    return inputs, outputs


@pytest.mark.parametrize("opset", OPSETS)
def test_every_sample_agrees_with_the_reference(opset: int) -> None:
    _, cases = samples()
    model = OnnxBackend(opset=opset).load(lowered(opset), weights_of_samples())
    for batch in BATCHES:
        inputs, outputs = expected(batch)
        actual = model.forward(inputs)
        for name, case in cases.items():
            label = f"{name}, {case} at batch {batch}"
            require_close(actual[name], outputs[name], case.sample.tolerance32, label, DType.FLOAT32)


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize("opset", OPSETS)
def test_every_sample_is_valid_and_infers_the_shapes_of_the_graph(opset: int, dtype: DType, complete: Callable) -> None:
    artifact = lowered(opset, dtype)
    require_valid(onnx.ModelProto.FromString(artifact.content), artifact.graph, opset, str(dtype))
    require_valid(complete(artifact, weights_of_samples()), artifact.graph, opset, str(dtype))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_valid_with_every_value_as_output(name: str) -> None:
    plain = NETWORKS[name]()
    for graph in (plain, plain.with_outputs(plain.values)):
        artifact = OnnxBackend().lower(graph)
        require_valid(onnx.ModelProto.FromString(artifact.content), graph, DEFAULT_OPSET, name)


def test_further_outputs_change_no_node() -> None:
    graph = NETWORKS["towers"]()
    plain, with_outputs = (
        onnx.ModelProto.FromString(OnnxBackend().lower(g).content).graph.node
        for g in (graph, graph.with_outputs(graph.values))
    )
    assert list(plain) == list(with_outputs)


def require_valid(model: onnx.ModelProto, graph: Graph, opset: int, label: str) -> None:
    """Assert that a model passes the full checker, and that strict inference yields each shape from the inputs alone.

    The declared shape of a Resize is kept: onnx infers nothing for its symbolic axis, the batch.
    """
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]
    onnx.checker.check_model(model, full_check=True)
    declared = {v.name: dims(v) for v in (*model.graph.input, *model.graph.output, *model.graph.value_info)}
    computed = {output for node in model.graph.node if node.op_type != "Resize" for output in node.output}
    kept = [value for value in model.graph.value_info if value.name not in computed]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    for output in model.graph.output:
        if output.name in computed:
            output.type.tensor_type.ClearField("shape")
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    inferred = {v.name: dims(v) for v in (*model.graph.input, *model.graph.output, *model.graph.value_info)}
    for name in computed:
        assert inferred[name] == declared[name], f"{label}: {name}"
    for name in graph.values.keys() - absent(graph):
        assert inferred[name] == list(graph.values[name].type.shape), f"{label}: {name}"


def absent(graph: Graph) -> set[str]:
    """Return the values that ONNX models lack, or have without a batch axis: heads, and values of one sample."""
    return {*graph.training_only, *broadcastable_nodes(graph)}


def dims(value: onnx.ValueInfoProto) -> list[int | str]:
    """Return the shape of a value. Symbolic axes are names."""
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def operators(case: SampleCase, opset: int) -> list[str]:
    """Return the operators that a case is lowered to."""
    model = onnx.ModelProto.FromString(OnnxBackend(opset=opset).lower(case.graph).content)
    return [node.op_type for node in model.graph.node]


def case_of(kind: str, index: int = 0) -> SampleCase:
    """Return a sample of an op."""
    return [case for case in CASES if case.node.op.kind == kind][index]


@pytest.mark.parametrize(
    ("kind", "operator", "since"),
    [
        ("layer_norm", "LayerNormalization", 17),
        ("gelu", "Gelu", 20),
        ("hard_swish", "HardSwish", 14),
        ("mish", "Mish", 18),
    ],
)
def test_an_operator_is_used_from_the_opset_that_has_it(kind: str, operator: str, since: int) -> None:
    assert operators(case_of(kind), since) == [operator]
    assert operator not in operators(case_of(kind), since - 1)


def test_axes_of_a_reduction_are_an_input_from_opset_18() -> None:
    case = case_of("layer_norm", 2)  # over axis 1, which LayerNormalization does not support
    for opset, inputs in ((17, 1), (18, 2)):
        model = onnx.ModelProto.FromString(OnnxBackend(opset=opset).lower(case.graph).content)
        means = [node for node in model.graph.node if node.op_type == "ReduceMean"]
        assert len(means) == 2
        assert all(len(node.input) == inputs for node in means)


def test_group_normalization_and_ceil_mode_are_never_used() -> None:
    for opset in OPSETS:
        model = onnx.ModelProto.FromString(lowered(opset).content)
        for node in model.graph.node:
            assert node.op_type != "GroupNormalization"
            assert "ceil_mode" not in [attribute.name for attribute in node.attribute]


def test_the_free_axis_has_one_name() -> None:
    model = onnx.ModelProto.FromString(OnnxBackend().lower(NETWORKS["towers"]()).content)
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    assert {dim for value in values for dim in dims(value) if isinstance(dim, str)} == {BATCH}


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, NEWEST + 1, 0, -1, "17", 17.0, True, None])
def test_an_unsupported_opset_is_refused_with_the_range(opset: object) -> None:
    with pytest.raises(BackendError, match=f"expected {OLDEST_OPSET} to {NEWEST}"):
        find_backend("onnx").with_options(opset=opset)


def test_options() -> None:
    backend = find_backend("onnx").with_options(opset=18)
    assert isinstance(backend, OnnxBackend)
    assert (backend.opset, backend.with_options(largest_inline=5).opset) == (18, 18)
    assert find_backend("onnx").opset == DEFAULT_OPSET
    with pytest.raises(BackendError, match="no option 'opsets'; it has opset, largest_inline"):
        backend.with_options(opsets=18)
    with pytest.raises(BackendError, match="torch backend has no option 'opset'"):
        find_backend("torch").with_options(opset=18)
