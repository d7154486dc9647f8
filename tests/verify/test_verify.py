from pathlib import Path

import numpy as np
import pytest

import netspec
from netspec.errors import BackendError, NetspecError, VerificationError
from netspec.lowering import find_backend
from netspec.ops import LocalResponseNorm, Rescale
from netspec.testing.changes import changed
from netspec.testing.faults import FAULTS, Fault, FaultyBackend
from netspec.testing.networks import Chain, branches, towers
from netspec.types import DType
from netspec.verify import compare as verify_module
from netspec.verify import verify
from netspec.verify.cases import cases_of, check_weights_of, with_other_sizes
from netspec.verify.compare import difference_of_largest, relative_l2, require_close
from netspec.verify.rounding import MOST
from netspec.verify.verify import with_unsaturated_outputs

TORCH = find_backend("torch")


def test_a_sound_network_passes_with_every_figure() -> None:
    report = verify(towers(), [TORCH, find_backend("onnx")]).require()
    forward = {(c.backend, c.dtype, c.case[:1]) for c in report.comparisons if c.level == "forward"}
    batches = "127"
    assert forward >= {("torch", dtype, n) for dtype in DType for n in batches}
    assert forward >= {("onnx", DType.FLOAT32, n) for n in batches}
    assert any("gradients are compared between two" in note for note in report.notes)


def test_a_fault_is_found_and_named() -> None:
    faulty = FaultyBackend(TORCH, Fault("k of 1", LocalResponseNorm, changed(k=1.0)))
    report = verify(towers(), [faulty], "forward")
    assert not report.passed
    assert [(d.node, d.op) for d in report.divergences] == [("norm1", "local_response_norm")]
    with pytest.raises(VerificationError, match="first diverges at norm1") as error:
        report.require()
    assert error.value.exit_code == 1
    assert "k left at 1" in error.value.message


def test_a_layer_that_no_output_depends_on_must_pass_a_deep_check() -> None:
    graph = Chain("hidden", x=(4,)).add("fc", "dense", units=3).add("side", "rescale", "x", scale=2.0).graph("fc")
    faulty = FaultyBackend(TORCH, Fault("a scale of 3", Rescale, changed(scale=3.0)))
    verify(graph, [faulty], "forward").require()
    report = verify(graph, [faulty], "forward", deep=True)
    assert (report.passed, report.verdict) == (False, "one function, but not layer by layer")
    assert {(d.node, d.dtype) for d in report.divergences} == {("side", DType.FLOAT64)}
    with pytest.raises(VerificationError, match="first diverges at side"):
        report.require()
    assert verify(graph, [TORCH], "forward", deep=True).passed


def test_a_network_that_leaves_the_domain_of_an_op_is_its_own_fault() -> None:
    chain = Chain("roots", image=(3, 8, 8)).add("conv", "conv2d", filters=4, kernel_size=3)
    chain.add("root", "power", exponent=0.5)
    message = r"roots: root \(power\) is NaN or infinite in the reference itself"
    for graph in (chain.graph(), chain.add("mean", "global_avg_pool2d").graph()):
        with pytest.raises(VerificationError, match=message):
            verify(graph, [TORCH], "forward")


def test_a_network_that_overflows_float32_is_its_own_fault() -> None:
    chain = Chain("large", image=(3, 8, 8)).add("conv", "conv2d", filters=4, kernel_size=3)
    chain.add("high", "power", exponent=20)
    for graph in (chain.graph(), chain.add("root", "power", exponent=0.05).graph()):
        message = r"large: high \(power\) has values of .* in the reference, .*: float32 holds none beyond 3e\+38"
        with pytest.raises(VerificationError, match=message):
            verify(graph, [TORCH], "forward")


def test_a_root_of_0_has_no_slope_in_any_backend() -> None:
    chain = Chain("roots", image=(3, 8, 8)).add("conv", "conv2d", filters=4, kernel_size=3)
    graph = chain.add("zeros", "rescale", scale=0.0).add("root", "power", exponent=0.5).graph()
    verify(graph, [TORCH], "forward").require()
    with pytest.raises(VerificationError, match=r"gradient of conv\.weight is NaN or infinite in torch and in keras"):
        verify(graph, [TORCH, find_backend("keras")], "gradient")


def test_a_wrong_alpha_shows_in_float32_too() -> None:
    # At a standard deviation of 1 and with the paper's own weights it would move the logits by 4e-6 of the largest.
    faulty = FaultyBackend(find_backend("onnx"), next(f for f in FAULTS if f.name == "alpha off by size"))
    worst = max(c.error for c in verify(towers(), [faulty], "forward").comparisons)
    assert worst > 1e-3


def test_a_request_for_gradients_that_cannot_be_compared_is_an_error() -> None:
    with pytest.raises(BackendError, match="between two backends that train in float64, received torch"):
        verify(towers(), [TORCH, find_backend("onnx")], "gradient")


def test_a_derivative_that_is_zero_on_paper_is_no_divergence() -> None:
    chain = Chain("zero", image=(3, 8, 8)).add("conv", "conv2d", filters=4, kernel_size=3)
    report = verify(chain.add("norm", "group_norm", groups=4).graph(), [TORCH, find_backend("keras")]).require()
    assert any(c.level == "gradient" for c in report.comparisons)


def test_two_faulty_gradients_do_not_hide() -> None:
    transposed = next(f for f in FAULTS if f.name == "kernel not transposed")
    report = verify(towers(), [TORCH, FaultyBackend(TORCH, transposed)])
    assert any(c.level == "gradient" and not c.passed for c in report.comparisons)


def test_what_fails_in_float32_alone_is_located_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(verify_module.FORWARD_TOLERANCE, DType.FLOAT32, 1e-9)  # below what float32 can hold
    monkeypatch.setitem(MOST, DType.FLOAT32, 0.0)  # and no more for its rounding
    report = verify(towers(), [TORCH], "forward")
    assert {d.dtype for d in report.divergences} == {DType.FLOAT32}


def test_a_backend_without_float64_has_no_gradients_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = find_backend("keras")
    monkeypatch.setattr(type(keras), "dtypes", frozenset({DType.FLOAT32}))
    with pytest.raises(BackendError, match="received torch"):
        verify(towers(), [TORCH, keras], "gradient")


def test_nothing_compared_is_no_proof() -> None:
    with pytest.raises(VerificationError, match="nothing was compared"):
        verify(towers(), []).require()


def test_saturated_outputs_do_not_hide_the_logits() -> None:
    assert with_unsaturated_outputs(towers()).outputs == ("prob", "fc2")
    assert with_unsaturated_outputs(branches()).outputs == branches().outputs


def test_a_softmax_of_large_logits_is_no_false_alarm() -> None:
    # float32 logits of 1e4 are off by 1e-3 through rounding alone, and the probabilities by as much.
    graph = Chain("sharp", x=(64,)).add("fc", "dense", units=9).add("prob", "softmax").graph()
    weights = check_weights_of(graph)
    weights["fc.weight"] = weights["fc.weight"] * np.float32(1e3)
    report = verify(graph, [TORCH, find_backend("onnx")], weights=weights).require()
    assert {c.subject for c in report.comparisons} <= {"fc", "prob"}
    wrong = FaultyBackend(TORCH, next(f for f in FAULTS if f.name == "missing dense bias"))
    assert not verify(graph, [wrong], weights=check_weights_of(graph)).passed


def test_other_sizes_where_the_weights_allow() -> None:
    chain = Chain("c", image=(3, 8, 8)).add("conv", "conv2d", filters=2, kernel_size=3)
    free = chain.add("pool", "global_avg_pool2d").add("fc", "dense", units=2).graph()
    other = with_other_sizes(free)
    assert other is not None
    assert other.inputs[0].type.features == (3, 9, 11)
    fixed = Chain("c", image=(3, 8, 8)).add("flatten", "flatten").add("fc", "dense", units=2).graph()
    assert with_other_sizes(fixed) is None
    assert [case.label for case in cases_of(fixed)] == ["1 × 3x8x8", "2 × 3x8x8", "7 × 3x8x8"]


@pytest.mark.parametrize(("most", "odd"), [(7 * (192 + 2), 7), (7 * (192 + 2) - 1, 3)])
def test_maps_that_fill_a_machine_are_checked_three_at_a_time(
    monkeypatch: pytest.MonkeyPatch, most: int, odd: int
) -> None:
    graph = Chain("c", image=(3, 8, 8)).add("flatten", "flatten").add("fc", "dense", units=2).graph()
    monkeypatch.setattr("netspec.verify.cases.MOST_VALUES", most)
    assert [case.label for case in cases_of(graph)] == [f"{batch} × 3x8x8" for batch in (1, 2, odd)]


def test_check_weights_keep_the_scale_of_pixels() -> None:
    graph = towers()
    weights = check_weights_of(graph)
    assert weights["conv1.weight"].std() == pytest.approx((2 / 75) ** 0.5, rel=0.1)
    (case, *_) = cases_of(graph, (7,))
    assert case.inputs["image"].std() == pytest.approx(60, rel=0.05)
    assert (case.inputs["image"] == 0).any()
    assert all((array != 0).all() for array in weights.values())


def test_measures() -> None:
    assert difference_of_largest(np.array([1.0, 9.0]), np.array([1.0, 10.0])) == pytest.approx(0.1)
    assert relative_l2(np.array([3.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx(0.8)
    assert difference_of_largest(np.zeros(2), np.zeros(2)) == 0
    with pytest.raises(VerificationError, match=r"expected shape \(2,\), received \(1, 2\)"):
        difference_of_largest(np.zeros((1, 2)), np.zeros(2))
    with pytest.raises(VerificationError, match="NaN"):
        relative_l2(np.array([np.nan]), np.zeros(1))


def test_require_close_compares_dtype_too() -> None:
    with pytest.raises(VerificationError, match="y: expected float64, received float32"):
        require_close(np.zeros(2, np.float32), np.zeros(2), 1.0, "y", DType.FLOAT64)


def test_a_missing_framework_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(TORCH), "requires", {"torch_that_is_not_there": "torch"})
    with pytest.raises(BackendError, match="the torch backend needs torch, not installed here") as error:
        verify(towers(), [TORCH])
    assert error.value.hint == "pip install 'netspec[torch]'"


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(NetspecError, match="expected one of forward, gradient, training, received 'all'"):
        verify(towers(), [TORCH], "all")  # type: ignore[arg-type]


def test_one_backend_may_be_named_alone() -> None:
    report = netspec.load(Path(__file__).parents[2] / "specs/lenet5.yaml").verify("onnx", "forward")
    assert {c.backend for c in report.comparisons} == {"onnx"}
