"""The shipped networks: figures derived by hand or from a named source, and the changes of each variant."""

from pathlib import Path

import pytest

from netspec.graph.analysis import analyze
from netspec.graph.diff import diff_graphs
from netspec.graph.text import print_node
from netspec.spec import load_graph
from tests.specs.zoo import MEMBERS

SPECS = Path(__file__).parents[2] / "specs"

# Section 3.5 of the paper, kernels and biases: 96 kernels of 11x11x3 in conv1, 256 of 5x5x48 in conv2, and so on.
PAPER = 34_944 + 307_456 + 885_120 + 663_936 + 442_624 + 37_752_832 + 16_781_312 + 4_097_000
assert PAPER == 60_965_224

FIGURES = {
    "alexnet": (PAPER, 0, (1000,)),
    "alexnet-2012": (PAPER, 0, (1000,)),
    "alexnet-caffe": (PAPER, 0, (1000,)),
    "alexnet-owt": (61_100_840, 0, (1000,)),  # torchvision's documentation, num_params
    "alexnet-tanh": (PAPER, 0, (1000,)),
    # conv1 17,472  conv2 128·48·25+128  conv3 192·128·9+192  conv4 192·192·9+192  conv5 256·192·9+256, dense as before
    "alexnet-one-tower": (
        17_472 + 153_728 + 221_376 + 331_968 + 442_624 + 37_752_832 + 16_781_312 + 4_097_000,
        0,
        (1000,),
    ),
    "alexnet-nonoverlapping": (PAPER, 0, (1000,)),
    "alexnet-no-lrn": (PAPER, 0, (1000,)),
    "alexnet-lrn5": (PAPER, 0, (1000,)),
    # conv2 320·48·25+320  conv3 384·160·9+384  fc6 8192·4608+8192  fc7 4096·4096+4096, the rest as before
    "alexnet-no-communication": (
        34_944 + 384_320 + 553_344 + 663_936 + 442_624 + 37_756_928 + 16_781_312 + 4_097_000,
        0,
        (1000,),
    ),
    "alexnet-no-dropout": (PAPER, 0, (1000,)),
    # The article's own count: 21,624,586 of which 1,216 not trained, a mean and a variance for 96 + 256 + 256 channels.
    "cifar-alexnet-keras": (21_624_586, 1_216, (10,)),
    # 5·5·3·32+32 + 5·5·32·32+32 + 5·5·32·64+64 + 64·4·4·10+10
    "cifar-four-layer": (2_432 + 25_632 + 51_264 + 10_250, 0, (10,)),
    "cifar-four-layer-tanh": (2_432 + 25_632 + 51_264 + 10_250, 0, (10,)),
    # 156 + 2,416 + 48,120 + 10,164 + 850, LeCun et al. 1998, section II.B with all maps connected
    "lenet5": (61_706, 0, (10,)),
    # 784·300+300 + 300·100+100 + 100·10+10
    "mlp": (266_610, 0, (10,)),
}


def test_every_shipped_spec_has_its_figures() -> None:
    assert {path.stem for path in SPECS.glob("*.yaml")} == {*FIGURES, *(member.spec for member in MEMBERS)}


@pytest.mark.parametrize("name", FIGURES)
def test_weights_and_outputs(name: str) -> None:
    graph = load_graph(SPECS / f"{name}.yaml").check()
    analysis = analyze(graph)
    weights, untrained, output = FIGURES[name]
    assert graph.name == name
    assert (analysis.weights, analysis.untrained) == (weights, untrained)
    assert [graph.type_of(o).features for o in graph.outputs] == [output]


def test_the_papers_maps_and_macs() -> None:
    graph = load_graph(SPECS / "alexnet.yaml")
    features = {node.name: node.type.features for node in graph.nodes}
    assert features["conv1"] == (96, 55, 55)
    assert features["pool1"] == (96, 27, 27)
    assert features["pool2"] == (256, 13, 13)
    assert features["pool5"] == (256, 6, 6)
    assert analyze(graph).neurons == 290_400 + 186_624 + 2 * 64_896 + 43_264 + 2 * 4096 + 1000
    macs = {"conv1": 34_848 * 3025, "conv2": 307_200 * 729, "conv3": 884_736 * 169, "conv4": 663_552 * 169}
    macs |= {"conv5": 442_368 * 169, "fc6": 9216 * 4096, "fc7": 4096 * 4096, "fc8": 4096 * 1000}
    assert {row.node.name: row.macs for row in analyze(graph).rows if row.macs} == macs


# What changes, and nothing else: one line for each field of each layer.
CHANGES = {
    "alexnet-one-tower": """
        norm1.groups: 2 → 1
        norm2.groups: 2 → 1
        conv1.filters: 96 → 48
        conv2.filters: 256 → 128
        conv2.groups: 2 → 1
        conv3.filters: 384 → 192
        conv4.filters: 384 → 192
        conv4.groups: 2 → 1
        conv5.groups: 2 → 1
    """,
    "alexnet-nonoverlapping": """
        pool1.kernel_size: 3x3 → 2x2
        pool1.round: floor → ceil
        pool2.kernel_size: 3x3 → 2x2
        pool2.round: floor → ceil
        pool5.kernel_size: 3x3 → 2x2
        pool5.round: floor → ceil
        conv2.padding: (top2,left2,bottom2,right2) → (top1,left1,bottom1,right1)
        conv5.padding: (top1,left1,bottom1,right1) → (top0,left0,bottom0,right0)
    """,
    "alexnet-no-lrn": """
        - norm1
        - norm2
        pool1.inputs: norm1 → relu1
        pool2.inputs: norm2 → relu2
    """,
    "alexnet-lrn5": """
        + norm5: (N, 256, 13, 13) = local_response_norm(relu5) size=5 alpha=0.0001 beta=0.75 k=2.0 convention=sum \
groups=2 region=channels
        pool5.inputs: relu5 → norm5
    """,
    "alexnet-no-communication": """
        conv2.filters: 256 → 320
        conv3.groups: 1 → 2
        fc6.units: 4096 → 8192
        fc6.groups: 1 → 2
        fc7.groups: 1 → 2
    """,
    "alexnet-tanh": "".join(f"\n relu{i}.op: relu → tanh" for i in range(1, 8)),
    "alexnet-no-dropout": """
        - drop6
        - drop7
        fc7.inputs: drop6 → relu6
        fc8.inputs: drop7 → relu7
    """,
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes(name: str) -> None:
    diff = diff_graphs(load_graph(SPECS / "alexnet.yaml"), load_graph(SPECS / f"{name}.yaml"))
    changes = [f"- {node.name}" for node in diff.removed]
    changes += [f"+ {print_node(node)}" for node in diff.added]
    changes += [
        f"{layer.name}.{c.field}: {c.before} → {c.after}"
        for layer in diff.changed
        for c in layer.fields
        if c.field not in {"shape", "output"}
    ]
    assert sorted(changes) == sorted(line.strip() for line in CHANGES[name].strip().splitlines())


def test_2012_is_the_code_as_it_ran() -> None:
    graph = load_graph(SPECS / "alexnet-2012.yaml")
    order = [node.name for node in graph.nodes][:9]
    assert order == ["conv1", "norm1", "pool1", "pool1_relu", "conv2", "relu2", "norm2", "map_norm2", "pool2"]
    norms = {node.name: node.op for node in graph.nodes if node.op.kind == "local_response_norm"}
    assert norms["norm1"].alpha_per_element == pytest.approx(2e-5)  # type: ignore[attr-defined]
    assert norms["map_norm2"].alpha_per_element == pytest.approx(0.001 / 25)  # type: ignore[attr-defined]
    assert graph.type_of("conv1").features == (96, 55, 55)
