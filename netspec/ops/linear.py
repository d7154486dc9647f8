"""The affine map of the last axis."""

import math
from typing import ClassVar

from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Array, Sample, Weight, WeightedOp, Weights, Window, require_groups
from netspec.ops.initializers import constant, he
from netspec.types import TensorType


class Dense(WeightedOp, kind="dense"):
    """Affine map of the last axis, in `groups` that do not see one another.

    With groups, unit u reads features [i·F/g, (i+1)·F/g) of its group i = u // (units/g): the dense layers of a
    tower that keeps to itself.

    Shapes:
        x (N, F) or (N, L, F) → (N, units) or (N, L, units); weight (units, F/groups); bias (units,).

    Source: Krizhevsky et al. 2012, section 3.5; PyTorch Linear and ONNX Gemm(transB=1) for one group.
    """

    trap: ClassVar[str] = "features flattened as H, W, C instead of C, H, W, a transposed weight, or no bias"

    units: PositiveInt
    groups: PositiveInt = 1
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        if x.rank not in (2, 3):
            raise ShapeError(
                f"dense expects features (N, F) or (N, L, F), received {x}",
                "add a `flatten` or `global_avg_pool2d` layer before it" if x.rank == 4 else "",
            )
        require_groups(self.kind, self.groups, features=x.features[-1], units=self.units)
        return x.with_features(*x.features[:-1], self.units)

    def weights(self, x: TensorType) -> dict[str, Weight]:
        shape = (self.units, x.features[-1] // self.groups)
        fans = (shape[1], self.units)
        weights = {"weight": Weight(shape, he(), *fans)}
        return weights | {"bias": Weight((self.units,), constant(0.0), *fans)} if self.bias else weights

    def reference(self, weights: Weights, x: Array) -> Array:
        g = self.groups
        kernels = weights["weight"].reshape(g, self.units // g, -1)
        grouped = x.reshape(*x.shape[:-1], g, 1, -1)
        y: Array = (grouped @ kernels.transpose(0, 2, 1)).reshape(*x.shape[:-1], self.units)
        return y + weights["bias"] if self.bias else y

    def macs(self, x: TensorType) -> int:
        return math.prod(self.weights(x)["weight"].shape) * math.prod(x.features[:-1])

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(units=5), ((7,),)),
            Sample(cls(units=4, bias=False), ((6,),), scale=60.0),
            Sample(cls(units=6, groups=2), ((8,),)),
            Sample(cls(units=6, groups=3, bias=False), ((6,),)),
            Sample(cls(units=4), ((3, 5),)),
            Sample(cls(units=4, groups=2), ((3, 6),)),
        )
