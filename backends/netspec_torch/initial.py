"""Initial values of parameters in emitted torch code, for users who train it without weights from netspec."""

import math

from netspec.lowering.python.source import Call, LiteralValue, call, method
from netspec.ops.initializers import Constant, Initializer, Normal, TruncatedNormal, Uniform, Values


def initial(initializer: Initializer, shape: tuple[int, ...], *, varies: bool = False) -> Call:
    """The expression of an initial tensor, such as `torch.zeros(1, 4)` or `torch.empty(1, 4).normal_(std=0.02)`.

    Args:
        initializer: how the weight begins.
        shape: the shape of the tensor.
        varies: whether instances of a block begin in different ways, and 0 is a number like any other.
    """
    empty = call("torch.empty", *shape)
    match initializer:
        case Constant(constant=0 | 1 as value) if not varies:
            return call("torch.ones" if value else "torch.zeros", *shape)
        case Constant(constant=value):
            return call("torch.full", shape, value)
        case Values(values=values):
            tensor = call("torch.tensor", values)
            if initializer.shape == shape:
                return tensor
            if math.prod(initializer.shape) == math.prod(shape):
                return call("torch.reshape", tensor, shape)
            own = (1,) * (len(shape) - len(initializer.shape)) + initializer.shape
            return call("torch.tile", tensor, tuple(size // held for size, held in zip(shape, own, strict=True)))
        case Normal(normal=p):
            mean: dict[str, LiteralValue] = {"mean": p.mean} if p.mean else {}
            return method(empty, "normal_", **mean, std=p.std)
        case TruncatedNormal(truncated_normal=p):
            mean = {"mean": p.mean} if p.mean else {}
            bounds: dict[str, LiteralValue] = {"a": p.mean - p.cut * p.std, "b": p.mean + p.cut * p.std}
            return call("nn.init.trunc_normal_", empty, **mean, std=p.std, **bounds)
        case Uniform(uniform=p):
            return method(empty, "uniform_", p.low, p.high)
        case _:
            return call("torch.zeros", *shape)
