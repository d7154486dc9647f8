"""Initial values of parameters in emitted Keras code, for users who train it without weights from netspec."""

from typing import Any

from netspec.arrays import np
from netspec.lowering.python.source import Call, LiteralValue, call
from netspec.ops.initializers import Constant, Initializer, Normal, TruncatedNormal, Uniform, Values


def initial(initializer: Initializer, axes: tuple[int, ...] = (0,)) -> Call | None:
    """The expression of a `keras.initializers` object; None for zeros, the default of our `Parameter`.

    Args:
        initializer: of the weight.
        axes: the canonical axis at each native position of the weight.
    """
    match initializer:
        case Values(values=values):
            return call("keras.initializers.Constant", _in_order(values, axes))
        case Constant(constant=value) if value:
            return call("keras.initializers.Constant", value)
        case Normal(normal=p):
            mean: dict[str, LiteralValue] = {"mean": p.mean} if p.mean else {}
            return call("keras.initializers.RandomNormal", **mean, stddev=p.std)
        case TruncatedNormal(truncated_normal=p):  # Keras always cuts at two standard deviations
            mean = {"mean": p.mean} if p.mean else {}
            return call("keras.initializers.TruncatedNormal", **mean, stddev=p.std)
        case Uniform(uniform=p):
            return call("keras.initializers.RandomUniform", p.low, p.high)
        case _:
            return None


def _in_order(values: tuple[Any, ...], axes: tuple[int, ...]) -> LiteralValue:
    """Nested values with their axes in native order, and axes of 1 for those that they broadcast along."""
    array = np.array(values)
    array = array.reshape((1,) * (len(axes) - array.ndim) + array.shape).transpose(axes)
    literal: LiteralValue = _nested(array.tolist())
    return literal


def _nested(values: Any) -> Any:
    return tuple(map(_nested, values)) if isinstance(values, list) else values
