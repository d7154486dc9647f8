"""How learned values start in Keras, for who trains what is emitted without the weights that netspec drew."""

from netspec.lowering.python.source import Call, LiteralValue, call
from netspec.ops.initializers import Constant, Initializer, Normal, TruncatedNormal, Uniform


def initial(initializer: Initializer) -> Call | None:
    """A `keras.initializers`, None for zeros: several values that start as one would stay one."""
    match initializer:
        case Constant(constant=value) if value:
            return call("keras.initializers.Constant", value)
        case Normal(normal=p):
            mean: dict[str, LiteralValue] = {"mean": p.mean} if p.mean else {}
            return call("keras.initializers.RandomNormal", **mean, stddev=p.std)
        case TruncatedNormal(truncated_normal=p):  # at two deviations, the only place where Keras cuts
            mean = {"mean": p.mean} if p.mean else {}
            return call("keras.initializers.TruncatedNormal", **mean, stddev=p.std)
        case Uniform(uniform=p):
            return call("keras.initializers.RandomUniform", p.low, p.high)
        case _:
            return None
