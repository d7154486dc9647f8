"""Initial values of parameters in emitted Keras code, for users who train it without weights from netspec."""

from netspec.lowering.python.source import Call, LiteralValue, call
from netspec.ops.initializers import Constant, Initializer, Normal, TruncatedNormal, Uniform


def initial(initializer: Initializer) -> Call | None:
    """The expression of a `keras.initializers` object; None for zeros, the default of our `Parameter`."""
    match initializer:
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
