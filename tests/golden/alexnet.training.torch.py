"""alexnet: Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep
Convolutional Neural Networks, section 3

Emitted by netspec from a layer spec; needs torch alone.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalResponseNormFunction(torch.autograd.Function):
    """y = x / scale^beta, scale = k + alpha * (sum of x² over a window of axis 2).

    Autograd would save every slice of the sum for backward. This function saves only x,
    and computes scale again, which is cheap:

        dx = g * scale^-beta - 2 * alpha * beta * x * (mirrored sum of g * y / scale)
    """

    @staticmethod
    def forward(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        """Shapes: x (N, groups, channels per group, H, W) to the same."""
        y = torch.empty_like(x)
        axis, parts = chunks(x, y)
        squares = Windows(parts[0][0], axis, reach(size, x.shape[2]), k)
        for x_chunk, y_chunk in parts:
            factor = eager_power(squares.scale(x_chunk, alpha), beta)
            torch.mul(x_chunk, squares.crop(factor, x_chunk), out=y_chunk)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Save x for backward."""
        x, *ctx.arguments = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x; the other arguments have none."""
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: dx must be differentiable
            y = expression(x, *ctx.arguments)
            (dx,) = torch.autograd.grad(y, x, g, create_graph=True)
            return dx, None, None, None, None
        size, alpha, beta, k = ctx.arguments
        dx = torch.empty_like(x)
        before, after = reach(size, x.shape[2])
        axis, parts = chunks(x, g, dx)
        squares = Windows(parts[0][0], axis, (before, after), k)
        ratios = Windows(parts[0][0], axis, (after, before), 0.0)  # mirrored
        for x_chunk, g_chunk, dx_chunk in parts:
            scale = squares.scale(x_chunk, alpha)
            factor = eager_power(scale, beta)
            torch.mul(g_chunk, squares.crop(factor, x_chunk), out=dx_chunk)
            ratio = ratios.terms[: len(x_chunk)]
            torch.mul(dx_chunk, x_chunk, out=ratio)
            ratio.div_(squares.crop(scale, x_chunk))
            total = ratios.crop(ratios.sums(len(x_chunk)), x_chunk)
            dx_chunk.addcmul_(x_chunk, total, value=-2 * alpha * beta)
        return dx, None, None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, ...], x: Tensor, *arguments: float
    ) -> tuple[Tensor, int]:
        """Merge the mapped axis into the batch: samples are independent."""
        x = x.movedim(in_dims[0], 0)
        y = LocalResponseNormFunction.apply(x.flatten(0, 1), *arguments)
        return y.unflatten(0, x.shape[:2]), 0


def expression(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Compute the same function from operations that compilers and autograd record."""
    squares = F.pad(x * x, (0, 0, 0, 0, size // 2, (size - 1) // 2))
    total = squares[:, :, : x.shape[2]]
    for shift in range(1, size):
        total = total + squares[:, :, shift : shift + x.shape[2]]
    return x * power(k + alpha * total, beta)


def power(scale: Tensor, beta: float) -> Tensor:
    """Return scale^-beta."""
    if beta == 0.75:  # two square roots are much faster than a power
        root = torch.rsqrt(scale)
        return root * torch.sqrt(root)
    return scale.pow(-beta)


def eager_power(scale: Tensor, beta: float) -> Tensor:
    """Return scale^-beta where no compiler fuses the operations.

    PyTorch computes a power of -0.5 in a third of the time of a square root.
    """
    if beta == 0.75:
        root = scale.pow(-0.5)
        return root.div_(root.pow(-0.5))
    return scale.pow(-beta)


def reach(size: int, length: int) -> tuple[int, int]:
    """Return how many elements before and after another one its window can have."""
    return min(size // 2, length - 1), min((size - 1) // 2, length - 1)


def chunks(*tensors: Tensor) -> tuple[int, list[tuple[Tensor, ...]]]:
    """Split tensors along the batch, on a CPU into chunks that fit in its caches.

    The axes of the chunks are in the order in which the first tensor lies in memory.
    Returns where axis 2 is in that order, and the chunks.
    """
    x = tensors[0]
    order = [0, *sorted(range(1, x.dim()), key=x.stride, reverse=True)]
    samples = max(1, len(x))
    if x.device.type == "cpu":
        samples = max(1, 2**18 // math.prod(x.shape[1:]))
    split = [tensor.permute(order).split(samples) for tensor in tensors]
    return order.index(2), list(zip(*split, strict=True))


class Windows:
    """Sums of a window: the `reach` (before, after) elements around each position.

    There is a margin at both ends of the axis, so that one addition over all the memory
    adds a neighbor to every term. Sums that a margin splits are of no window: `crop`
    leaves them out. A margin holds each term's share of a `constant` in the sums.
    """

    def __init__(
        self, chunk: Tensor, axis: int, reach: tuple[int, int], constant: float
    ) -> None:
        self.size = 1 + sum(reach)
        self.share = chunk.new_tensor(constant / self.size)
        shape = list(chunk.shape)
        shape[axis] += sum(reach)
        self.memory = self.share.repeat(shape)
        self.terms = self.memory.narrow(axis, reach[0], chunk.shape[axis])
        self.step = self.memory.stride(axis)

    def scale(self, x: Tensor, alpha: float) -> Tensor:
        """Return the constant + alpha * (sum of x²), uncropped."""
        torch.addcmul(self.share, x, x, value=alpha, out=self.terms[: len(x)])
        return self.sums(len(x))

    def sums(self, samples: int) -> Tensor:
        """Return the sums of the first samples, uncropped."""
        return window_sums(self.memory[:samples].view(-1), self.step, self.size)

    def crop(self, sums: Tensor, chunk: Tensor) -> Tensor:
        """Return the sums of whole windows, in the shape of a chunk."""
        return sums.as_strided(chunk.shape, self.memory.stride())


def window_sums(terms: Tensor, step: int, size: int) -> Tensor:
    """Add to each term of a vector the next size - 1 terms, `step` apart.

    The width is doubled again and again: three additions for a size of 5.
    """
    sums, width = terms, 1
    while 2 * width <= size:
        sums = sums[: len(sums) - width * step] + sums[width * step :]
        width *= 2
    if width == size:
        return sums
    rest = window_sums(terms[width * step :], step, size - width)
    return sums[: len(rest)].add_(rest)


class LocalResponseNorm(nn.Module):
    """y = x / (k + alpha * sum of x²)^beta, the sum over `size` neighboring channels.

    Unlike in `nn.LocalResponseNorm`, alpha is not divided by `size`, and a sum does not
    cross the boundary between two of the `groups` of channels.

    Shapes: x (N, C, H, W) to the same.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3.
    """

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, groups: int = 1
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each group of channels."""
        grouped = x.unflatten(1, (self.groups, -1))
        # Compilers and tracers cannot record the custom function, but fuse this one.
        if torch.jit.is_scripting() or torch.jit.is_tracing():
            return self.expression(grouped).flatten(1, 2)
        if torch.compiler.is_compiling() or isinstance(x, torch.fx.Proxy):
            return self.expression(grouped).flatten(1, 2)
        y = LocalResponseNormFunction.apply(
            grouped, self.size, self.alpha, self.beta, self.k
        )
        result: Tensor = y.flatten(1, 2)
        return result

    def expression(self, x: Tensor) -> Tensor:
        """Compute the function without the custom backward pass."""
        return expression(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        names = ("size", "alpha", "beta", "k", "groups")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class StandardDropout(nn.Module):
    """Zeroes elements with probability p in training; multiplies by 1 - p at inference.

    `nn.Dropout` instead divides by 1 - p in training.

    Shapes: x to the same.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 4.2.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Apply a new random mask in training, the constant scale at inference."""
        if not self.training:
            return x * (1.0 - self.p)
        return x * torch.empty_like(x).bernoulli_(1.0 - self.p)

    def extra_repr(self) -> str:
        """The argument, for `print(model)`."""
        return f"p={self.p}"


class Alexnet(nn.Module):
    """(N, 3, 224, 224) to (N, 1000); 60,965,224 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, kernel_size=11, stride=4)
        self.norm1 = LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0, groups=2)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)
        self.norm2 = LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0, groups=2)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2)
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.drop6 = StandardDropout(p=0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = StandardDropout(p=0.5)
        self.fc8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.pad(x, (0, 3, 0, 3))  # (N, 3, 227, 227)
        x = self.conv1(x)  # (N, 96, 55, 55)
        x = F.relu(x, inplace=True)
        x = self.norm1(x)
        x = self.pool1(x)  # (N, 96, 27, 27)
        x = self.conv2(x)  # (N, 256, 27, 27)
        x = F.relu(x, inplace=True)
        x = self.norm2(x)
        x = self.pool2(x)  # (N, 256, 13, 13)
        x = self.conv3(x)  # (N, 384, 13, 13)
        x = F.relu(x, inplace=True)
        x = self.conv4(x)
        x = F.relu(x, inplace=True)
        x = self.conv5(x)  # (N, 256, 13, 13)
        x = self.pool5(x)  # (N, 256, 6, 6)
        x = F.relu(x, inplace=True)
        x = x.flatten(1)  # (N, 9216)
        x = self.fc6(x)  # (N, 4096)
        x = F.relu(x, inplace=True)
        x = self.drop6(x)
        x = self.fc7(x)
        x = F.relu(x, inplace=True)
        x = self.drop7(x)
        x = self.fc8(x)  # (N, 1000)
        return x
