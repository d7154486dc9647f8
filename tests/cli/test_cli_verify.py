"""`netspec verify`, and how any exception of a command is reported."""

import json
import math
from pathlib import Path

import pytest

import netspec.verify as netspec_verify
from netspec.lowering import find_backend
from netspec.types import DType
from netspec.verify import Comparison, NodeError, Report
from tests.cli.conftest import Run


def test_a_proof_is_a_table_and_a_closing_line(netspec: Run, small: Path) -> None:
    code, out, err = netspec("verify", small, "--backends", "onnx", "--level", "forward")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "small: outputs, error as a share of the largest"
    assert "onnx     reference  float32  1 × 3x9x8" in out
    assert "note: onnx computes in float32 only" in out
    assert out.endswith("✓ small: onnx and the reference are one function: 3 comparisons\n")


def test_a_deep_proof_compares_every_layer(netspec: Run, small: Path) -> None:
    out = netspec("verify", small, "--backends", "onnx", "--level", "forward", "--deep", "--json")[1]
    report = json.loads(out)
    assert report["passed"]
    assert [row["layer"] for row in report["layers"]] == ["conv1", "relu1", "conv2", "flat", "fc"]


def test_by_default_backends_that_are_not_installed_are_left_out_with_a_note(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "keras"):
        monkeypatch.setattr(type(find_backend(name)), "missing", lambda self: [self.name])
    code, out, _ = netspec("verify", small)
    assert code == 0
    assert "note: keras is left out: it needs keras: pip install 'netspec[keras]'" in out


def test_a_missing_backend_asked_for_by_name_is_an_error(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(find_backend("keras")), "missing", lambda _: ["keras"])
    code, out, err = netspec("verify", small, "--backends", "onnx,keras")
    assert (code, out) == (2, "")
    assert "pip install 'netspec[keras]'" in err


def test_nothing_installed_is_an_error(netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "keras", "onnx"):
        monkeypatch.setattr(type(find_backend(name)), "missing", lambda self: [self.name])
    code, _, err = netspec("verify", small)
    assert code == 2
    assert "no backend is installed" in err


def fake_report(monkeypatch: pytest.MonkeyPatch, *comparisons: Comparison, nodes: tuple[NodeError, ...] = ()) -> None:
    """Make every verification return a report of these comparisons and nodes."""
    report = Report("small", comparisons, nodes, ("a note",))
    monkeypatch.setattr(netspec_verify, "verify", lambda *_, **__: report)


def test_a_layer_that_differs_fails_a_deep_proof_whose_outputs_agree(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Comparison("forward", "onnx", "reference", DType.FLOAT32, "1 × 3x9x8", "fc", 1e-7, 1e-5)
    nodes = tuple(NodeError(f"conv{i}", "conv2d", "onnx", "float32", i * 1e-5, 1e-5, "") for i in (1, 2))
    fake_report(monkeypatch, good, nodes=nodes)
    code, _, err = netspec("verify", small, "--backends", "onnx", "--deep")
    assert code == 1
    assert err.startswith("error: small: one function, but not layer by layer: 1 of 2 layer values failed\n")
    assert "onnx first diverges at conv2 (conv2d)" in err


def test_a_failure_names_the_first_layer_and_the_trap(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Comparison("forward", "onnx", "reference", DType.FLOAT32, "1 × 3x9x8", "fc", 1e-7, 1e-5)
    bad = Comparison("forward", "onnx", "reference", DType.FLOAT32, "2 × 3x9x8", "fc", math.inf, 1e-5)
    node = NodeError("conv2", "conv2d", "onnx", "float32", 0.25, 1e-5, "groups in another order")
    fake_report(monkeypatch, good, bad, nodes=(node,))
    code, out, err = netspec("verify", small, "--backends", "onnx")
    assert code == 1
    assert "inf  1e-05  ✗" in out
    assert err.splitlines() == [
        "error: small: not one function: 1 of 2 comparisons failed",
        "  onnx first diverges at conv2 (conv2d), by 2.5e-01 of its largest value in float32; expected at most 1e-05",
        "    likely: groups in another order",
    ]
    code, out, _ = netspec("verify", small, "--backends", "onnx", "--json")
    report = json.loads(out)
    assert code == 1
    assert not report["passed"]
    assert report["comparisons"][1]["error"] is None
    assert report["divergences"][0]["layer"] == "conv2"


def test_a_verification_that_compared_nothing_is_no_success(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_report(monkeypatch)
    code, _, err = netspec("verify", small, "--backends", "onnx")
    assert code == 1
    assert "nothing was compared" in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RuntimeError("wheels came off"), 70, "a defect of netspec, not a mistake of yours: RuntimeError: wheels"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "not enough memory"),
        (OSError(28, "No space left on device", "small.onnx"), 2, "small.onnx: No space left on device"),
    ],
)
def test_an_exception_becomes_one_line_and_an_exit_code(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(netspec_verify, "verify", fail)
    received, _, err = netspec("verify", small, "--backends", "onnx")
    assert received == code
    assert err.startswith(f"error: {message}")
    assert "Traceback" not in err


def test_a_defect_shows_its_traceback_on_request(netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("wheels came off")

    monkeypatch.setenv("NETSPEC_DEBUG", "1")
    monkeypatch.setattr("netspec.graph.analysis.analyze", fail)
    code, _, err = netspec("show", small)
    assert code == 70
    assert "Traceback" in err
    assert "wheels came off" in err
