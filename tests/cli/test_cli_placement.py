"""`netspec show --placement`."""

import json

from tests.cli.conftest import Run

SPEC = "specs/alexnet.yaml"


def test_the_drawing_is_figure_2_in_80_columns(netspec: Run) -> None:
    code, out, err = netspec("show", SPEC, "--placement")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split(" crosses:")[0].strip() for line in lines if "crosses:" in line] == [
        *("pool2", "flatten", "drop6", "drop7", "fc8")
    ]
    assert sum("╳" in line for line in lines) == 5
    assert "pool2 crosses: 10.6 MiB forward, 10.6 MiB backward to each" in out
    assert "weights of a tower: 30,482,612 of 60,965,224 (0.500)" in out
    assert lines[-4:] == [
        "received by a tower in a step: 29.9 MiB",
        "  at layers that read other towers, conv3, fc6, fc7, fc8: 29.6 MiB",  # as figure 2 has them
        "  at the outputs, fc8: 250.0 KiB",
        "by plain data parallelism over 2: 232.6 MiB",
    ]


def test_on_four_towers_teams_of_two_exchange(netspec: Run) -> None:
    code, out, _ = netspec("show", SPEC, "--placement", "--set", "placement.towers=4")
    assert code == 0
    assert "conv4    its share     96x13x13       165,984     663,936" in out
    assert "relu3    gather_group  conv4         7.9 MiB    7.9 MiB" in out
    assert "relu1    halo          norm1         3.0 MiB    3.0 MiB" in out
    assert "received by a tower in a step: 100.9 MiB" in out
    assert "weights of a tower: 15,241,306 of 60,965,224 (0.250)" in out


def test_as_json(netspec: Run) -> None:
    code, out, _ = netspec("show", SPEC, "--placement", "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert (found["towers"], found["batch"]) == (2, 128)
    assert found["totals"]["tower_weights"] / found["totals"]["weights"] <= 0.55
    parts = ("layer_bytes", "output_bytes", "gradient_bytes")
    assert found["totals"]["bytes"] == sum(found["totals"][part] for part in parts)
    assert found["totals"]["bytes"] == sum(c["forward_bytes"] + c["backward_bytes"] for c in found["crossings"])


def test_a_spec_without_a_placement_is_an_error(netspec: Run) -> None:
    code, _, err = netspec("show", "specs/lenet5.yaml", "--placement")
    assert code == 2
    assert "lenet5 has no placement" in err


def test_placement_and_passes_exclude_each_other(netspec: Run) -> None:
    code, _, err = netspec("show", SPEC, "--placement", "--passes")
    assert code == 2
    assert "--passes and --placement exclude each other" in err
