import pytest

from netspec.graph import Graph, Hint
from netspec.ops import OPS
from netspec.ops.base import Op
from netspec.passes.in_place import FREE_TO_OVERWRITE, PASS
from netspec.testing.networks import Chain
from tests.passes.pass_helpers import changed


def marked(graph: Graph) -> set[str]:
    return {node.name for node in graph.nodes if Hint.IN_PLACE in node.hints}


def dense() -> Chain:
    return Chain("g", x=(6,), y=(6,)).add("fc", "dense", reads="x", units=6)


def test_activations_and_sums_are_marked_and_nothing_else() -> None:
    graph = dense().add("sum", "add", reads=("fc", "y")).add("act", "relu").graph()
    rewrite = changed(PASS, graph)
    assert marked(rewrite.graph) == {"sum", "act"} == set(rewrite.changed)
    assert not rewrite.folds
    assert not rewrite.meaning


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (dense().add("act", "tanh").graph(), "another activation"),
        (Chain("g", x=(6,)).add("act", "relu").graph(), "an input is the caller's"),
        (dense().add("act", "relu").graph("fc", "act"), "an output"),
        (dense().add("act", "relu").add("other", "tanh", reads="fc").graph("act", "other"), "read later"),
        (dense().add("sum", "add", reads=("fc", "fc")).graph(), "read twice by one node"),
        (dense().add("gate", "sigmoid").add("sum", "add", reads=("gate", "y")).graph(), "a gradient needs it"),
        (dense().add("act", "relu", reads="y").add("sum", "add", reads=("act", "fc")).graph(), "a ReLU's needs it"),
        (dense().add("same", "identity").add("act", "relu").graph(), "another's memory: an identity"),
        (dense().add("view", "reshape", shape=[2, 3]).add("act", "relu").graph(), "another's memory: a view"),
        (dense().add("drop", "dropout", rate=0.5).add("act", "relu").graph(), "another's memory: idle dropout"),
        (
            Chain("g", x=(4, 3, 3))
            .add("mean", "global_avg_pool2d", keepdims=True)
            .add("sum", "add", reads=("mean", "x"))
            .graph(),
            "the sum is larger",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_leaves_alone(graph: Graph, why: str) -> None:
    assert PASS.run(graph) is None, why


@pytest.mark.parametrize("kind", [kind for kind, op in OPS.items() if issubclass(op, FREE_TO_OVERWRITE)])
def test_torch_gives_the_same_gradients_after_each_op_that_may_be_overwritten(kind: str) -> None:
    from tests.passes.torch_gradients import check_gradients

    for sample in OPS[kind].samples():
        chain = Chain("g", **{f"in{i}": shape for i, shape in enumerate(sample.inputs)})
        reads = tuple(f"in{i}" for i in range(len(sample.inputs)))
        graph = _applied(chain, sample.op, reads).add("act", "relu").add("end", "tanh").graph()
        assert marked(changed(PASS, graph).graph) == {"act"}
        check_gradients(graph)


def _applied(chain: Chain, op: Op, reads: tuple[str, ...]) -> Chain:
    return chain.add("made", op.kind, reads=reads, **op.model_dump(exclude_defaults=True))
