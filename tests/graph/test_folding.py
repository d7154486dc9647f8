"""Instances of blocks as single rows of a table and single boxes of a drawing."""

from __future__ import annotations

from netspec.graph.analysis import analyze
from netspec.graph.folding import fold, fold_rows, outputs_of
from netspec.graph.mermaid import print_mermaid
from netspec.spec import load_graph


def test_folded_rows_have_the_same_sums() -> None:
    graph = load_graph("specs/resnet.yaml", {"depth": 18})
    analysis = analyze(graph)
    rows = fold_rows(graph, analysis)
    names = [row.name for row in rows]
    assert names[:6] == ["conv1", "bn1", "relu", "maxpool", "layer1.0", "layer1.1"]
    assert len(rows) == 4 + 8 + 2
    assert sum(row.weights for row in rows) == analysis.weights
    assert sum(row.macs for row in rows) == analysis.macs
    assert sum(row.activation_bytes for row in rows) == analysis.activation_bytes
    assert [row.kind for row in rows if "." in row.name] == ["basic"] * 8


def test_a_folded_block_shows_the_values_that_others_read() -> None:
    graph = load_graph("specs/resnet.yaml", {"depth": 18}).with_outputs(["layer4.1.conv1", "fc"])
    owners = fold(graph)
    members = {name for name, scope in owners.items() if scope.path == "layer4.1"}
    assert len(members) == 7, "what a block within it has is its own"
    assert outputs_of(graph, members) == ["layer4.1.conv1", "layer4.1.relu"]
    rows = {row.name: row for row in fold_rows(graph, analyze(graph))}
    assert [str(type) for type in rows["layer4.1"].types] == ["(N, 512, 7, 7)"] * 2


def test_a_flowchart_has_a_box_or_a_frame_for_each_instance() -> None:
    graph = load_graph("specs/resnet.yaml", {"depth": 18})
    folded, unfolded = print_mermaid(graph), print_mermaid(graph, unfold=True)
    assert folded.count("[") == len(fold_rows(graph, analyze(graph))) + 2, "and those of input and output"
    assert 'v5["layer1.0<br/>basic<br/>64x56x56"]\n    v4 --> v5\n' in folded
    lines = unfolded.splitlines()
    assert sum("subgraph" in line for line in lines) == len(graph.scopes)
    assert sum(line.strip() == "end" for line in lines) == len(graph.scopes)
    assert unfolded.count(" --> ") == sum(len(node.inputs) for node in graph.nodes) + 1
    assert (
        '        subgraph s1["layer1.0: basic"]\n            v5["layer1.0.conv1<br/>conv2d<br/>64x56x56"]' in unfolded
    )
