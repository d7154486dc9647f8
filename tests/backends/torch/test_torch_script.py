"""Emitted modules can be scripted by TorchScript and traced symbolically, op by op, with the same results."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
import torch
from netspec_torch import BACKEND
from netspec_torch.support.dropout import StandardDropout
from netspec_torch.support.stochastic_depth import StochasticDepth

from netspec.testing.cases import SampleCase, sample_cases
from netspec.testing.networks import Chain
from netspec.verify.cases import check_weights_of
from tests.specs.small import SMALL, load_small

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


def _cases() -> dict[str, list[SampleCase]]:
    cases: dict[str, list[SampleCase]] = defaultdict(list)
    for case in sample_cases():
        cases[case.graph.nodes[-1].op.kind].append(case)
    return cases


CASES = _cases()
RECORDERS = {"script": torch.jit.script, "trace": torch.fx.symbolic_trace}
# The number of samples of an op that TorchScript or a symbolic trace refuses.
REFUSED = {
    "multi_head_attention": {"script": 1},  # `nn.MultiheadAttention(bias=False)` reads the dtype of the missing bias
    "l2_normalize": {"script": 2},  # `F.normalize` over several axes
    "resize": {"trace": 17},  # rules that PyTorch lacks compute positions from lengths, which a trace does not know
}


@pytest.mark.parametrize("kind", CASES)
def test_an_op_is_scripted_and_traced(kind: str) -> None:
    refused: Counter[str] = Counter()
    for case in CASES[kind]:
        model = BACKEND.load(BACKEND.lower(case.graph), check_weights_of(case.graph)).native.eval()
        inputs = [torch.from_numpy(array) for array in case.inputs(2).values()]
        for name, record in RECORDERS.items():
            try:
                recorded = record(model)
            except (RuntimeError, torch.fx.proxy.TraceError):
                refused[name] += 1
                continue
            with torch.no_grad():
                torch.testing.assert_close(recorded(*inputs), model(*inputs))
    assert refused == REFUSED.get(kind, {})


@pytest.mark.parametrize("count", [5, 12])
def test_several_outputs_are_scripted(count: int) -> None:
    chain = Chain("levels", x=(3,))
    for index in range(count):
        chain.add(f"level{index}", "dense", "x", units=2)
    graph = chain.graph().with_outputs(f"level{index}" for index in range(count))
    model = BACKEND.load(BACKEND.lower(graph), check_weights_of(graph)).native.eval()
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(x), model(x))


@pytest.mark.parametrize("name", SMALL)
def test_the_zoo_is_scripted_and_traced(name: str) -> None:
    graph = load_small(name).graph
    model = BACKEND.load(BACKEND.lower(graph), check_weights_of(graph)).native.eval()
    x = torch.randn(graph.inputs[0].type.concrete(1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
        for record in RECORDERS.values():
            torch.testing.assert_close(record(model)(x), expected)


@pytest.mark.parametrize("layer", [StandardDropout, StochasticDepth])
def test_a_rate_that_a_spec_writes_as_0_is_scripted(layer: type[torch.nn.Module]) -> None:
    """The rate of the first block of a stack, often; TorchScript knows it for an int."""
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    for model in (torch.jit.script(layer(0)), torch.jit.script(layer(0)).eval()):
        torch.testing.assert_close(model(x), x)
