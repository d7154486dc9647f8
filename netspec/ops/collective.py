"""What towers exchange: points of a tower's own graph. No spec states them; `netspec.graph.tower` puts them there.

They have no NumPy meaning, which would be one of several processes: what they mean together is the whole network.
"""

from typing import Literal

from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Op
from netspec.types import TensorType


class Collective(Op):
    """An exchange among `towers` along an axis."""

    towers: PositiveInt
    axis: PositiveInt

    def infer(self, x: TensorType) -> TensorType:
        return x

    def _scaled(self, x: TensorType, up: int, down: int) -> TensorType:
        place = self.axis - 1
        return x.with_features(*(size * up // down if i == place else size for i, size in enumerate(x.features)))


class Gather(Collective, kind="gather"):
    """The towers' shares of a value as one, for layers of which each tower computes a share.

    The gradient of the whole is a part of the sum in each tower: it is summed, and each takes its share.

    Shapes: x (N, C/towers, …) → (N, C, …).
    """

    def infer(self, x: TensorType) -> TensorType:
        return self._scaled(x, self.towers, 1)


class Collect(Gather, kind="collect"):
    """The towers' shares of a value as one, for what all towers compute alike.

    The gradient of the whole is the same in each tower: each takes its share.

    Shapes: x (N, C/towers, …) → (N, C, …).
    """


class Spread(Collective, kind="spread"):
    """A whole value, for layers of which each tower computes a share: its gradient is summed over the towers.

    Shapes: x → the same.
    """


class Share(Collective, kind="share"):
    """A tower's share of a whole value; the gradient is gathered.

    Shapes: x (N, C, …) → (N, C/towers, …).
    """

    def infer(self, x: TensorType) -> TensorType:
        return self._scaled(x, 1, self.towers)


COLLECTIVES: dict[Literal["gather", "collect", "spread", "share"], type[Collective]] = {
    "gather": Gather,
    "collect": Collect,
    "spread": Spread,
    "share": Share,
}
