"""Local response normalization in torch: its explicit gradient, memory formats, compilation."""

from pathlib import Path

import pytest
import torch
from netspec_torch.support.local_response_norm import LocalResponseNorm
from netspec_torch.support.local_response_norm_in_map import LocalResponseNormInMap
from torch import Tensor, nn
from torch.nn.functional import local_response_norm

CHANNELS_LAST = torch.channels_last


def random(*shape: int, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, dtype=torch.float64, generator=generator) * scale


@pytest.mark.parametrize("beta", [0.75, 0.6, 1.0])
@pytest.mark.parametrize(("size", "groups"), [(5, 1), (5, 2), (4, 1), (2, 4), (1, 1), (20, 2), (3, 8)])
def test_the_gradient_is_that_of_the_function(size: int, groups: int, beta: float) -> None:
    layer = LocalResponseNorm(size, alpha=0.3, beta=beta, k=1.5, groups=groups)
    assert torch.autograd.gradcheck(layer, (random(2, 8, 2, 2).requires_grad_(),))
    x = random(2, 8, 2, 2).to(memory_format=CHANNELS_LAST)
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(),))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_it_agrees_with_torch_for_alpha_divided_by_size(size: int) -> None:
    x, g = random(2, 7, 3, 4).requires_grad_(), random(2, 7, 3, 4)
    expected = local_response_norm(x, size, alpha=0.2, beta=0.75, k=2.0)
    result = LocalResponseNorm(size, alpha=0.2 / size, beta=0.75, k=2.0)(x)
    torch.testing.assert_close(result, expected, rtol=1e-13, atol=1e-13)
    gradients = [torch.autograd.grad(y, x, g)[0] for y in (result, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_groups_are_independent() -> None:
    x = random(2, 12, 3, 4)
    whole = LocalResponseNorm(5, alpha=0.2, beta=0.75, k=2.0, groups=3)(x)
    parts = [LocalResponseNorm(5, alpha=0.2, beta=0.75, k=2.0)(part) for part in x.chunk(3, dim=1)]
    torch.testing.assert_close(whole, torch.cat(parts, dim=1), rtol=0, atol=0)


@pytest.mark.parametrize("groups", [1, 2])
def test_it_keeps_the_memory_format(groups: int) -> None:
    layer = LocalResponseNorm(5, alpha=0.2, beta=0.75, k=2.0, groups=groups)
    x = random(2, 8, 5, 4).to(memory_format=CHANNELS_LAST).requires_grad_()
    y = layer(x)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    assert y.is_contiguous(memory_format=CHANNELS_LAST)
    assert x.grad.is_contiguous(memory_format=CHANNELS_LAST)
    plain = x.detach().contiguous().requires_grad_()
    torch.testing.assert_close(y, layer(plain), rtol=1e-15, atol=0)
    (gradient,) = torch.autograd.grad(layer(plain).sum(), plain)
    torch.testing.assert_close(x.grad, gradient, rtol=1e-14, atol=1e-15)


def test_pixels_and_zeros_in_float32() -> None:
    x = random(2, 16, 5, 4, scale=60.0)
    x[x.abs() < 6] = 0
    layer = LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, groups=2)
    assert (layer(x.float()) - layer(x)).abs().max() < 1e-6 * layer(x).abs().max()
    assert layer(x.float()).dtype == torch.float32


@pytest.mark.parametrize(("size", "groups", "beta"), [(5, 2, 0.75), (4, 1, 0.6)])
def test_it_is_differentiated_twice(size: int, groups: int, beta: float) -> None:
    """Second derivatives, and gradients by `torch.func`, are correct."""
    layer = LocalResponseNorm(size, alpha=0.3, beta=beta, k=1.5, groups=groups)
    x = random(2, 8, 1, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(layer, x, fast_mode=True)
    (expected,) = torch.autograd.grad(layer(x).pow(2).sum(), x)
    torch.testing.assert_close(torch.func.grad(lambda v: layer(v).pow(2).sum())(x.detach()), expected)


def test_gradients_of_each_sample_at_once() -> None:
    layer = LocalResponseNorm(5, alpha=0.3, beta=0.75, k=1.5, groups=2)
    x = random(3, 8, 2, 2).requires_grad_()
    (expected,) = torch.autograd.grad(layer(x).pow(3).sum(), x)
    by_sample = torch.func.vmap(torch.func.grad(lambda sample: layer(sample[None]).pow(3).sum()))
    torch.testing.assert_close(by_sample(x.detach()), expected, rtol=1e-12, atol=1e-12)
    along_last = torch.func.vmap(layer, in_dims=-1, out_dims=-1)(torch.stack([x, 2 * x], dim=-1))
    torch.testing.assert_close(along_last, torch.stack([layer(x), layer(2 * x)], dim=-1), rtol=1e-12, atol=1e-12)


def test_it_is_exported_after_a_trainable_layer() -> None:
    """Tracing records it with gradients, where in-place operations would be refused."""
    model = nn.Sequential(nn.Conv2d(8, 8, 1).double(), LocalResponseNorm(5, alpha=0.3, beta=0.75, k=1.5, groups=2))
    x, other = random(2, 8, 2, 2), random(3, 8, 2, 2)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("N")},)).module()
    for recorded in (exported, torch.fx.symbolic_trace(model)):
        torch.testing.assert_close(recorded(other), model(other), rtol=1e-12, atol=1e-12)


def test_it_compiles_whole() -> None:
    """Forward and backward are traced without a graph break. The generated code is not tested here."""
    layer = LocalResponseNorm(5, alpha=0.2, beta=0.75, k=2.0, groups=2)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = random(2, 8, 3, 4).requires_grad_()
    results = [(y, *torch.autograd.grad(y.pow(3).sum(), x)) for y in (compiled(x), layer(x))]
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("size", [1, 4, 5, 9])
def test_within_a_map(size: int) -> None:
    x = random(2, 3, 4, 5).requires_grad_()
    layer = LocalResponseNormInMap(size, alpha=0.3, beta=0.75, k=1.5)
    assert torch.autograd.gradcheck(layer, (x,))
    alone = torch.cat([layer(x[:, [c]]) for c in range(3)], dim=1)
    torch.testing.assert_close(layer(x), alone, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_torchscript_saves_it_and_export_leaves_the_batch_free(groups: int, tmp_path: Path) -> None:
    layer = LocalResponseNorm(5, alpha=0.2, beta=0.75, k=2.0, groups=groups)
    x, other = random(2, 8, 100, 100), random(20, 8, 100, 100)  # larger than the chunks in which a CPU normalizes
    for scripted in (torch.jit.script(layer), torch.jit.trace(layer, x)):
        torch.jit.save(scripted, tmp_path / "layer.pt")
        loaded = torch.jit.load(tmp_path / "layer.pt")
        for images in (x, other):
            torch.testing.assert_close(loaded(images), layer(images), rtol=1e-13, atol=1e-13)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    for images in (x, other):
        torch.testing.assert_close(exported(images), layer(images), rtol=1e-13, atol=1e-13)
