"""How each node of a network is computed on several towers, and in which form it reads its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

from netspec.graph.graph import Node
from netspec.graph.towers import channelwise_inputs, is_channelwise, width
from netspec.ops import FilterOp

Form = Literal["whole", "partial", "group", "halo", "divided"]
Way = Literal["apart", "column", "halo", "whole"]

FORMS: Final[tuple[Form, ...]] = get_args(Form)


class Read(NamedTuple):
    """The form in which a node reads a value.

    Attributes:
        form: `divided`, the tower's share; `partial`, the whole, for a share of the filters; `group`, the channels of
            one group, for a share of its filters; `halo`, the tower's share and the channels next to it in its group;
            or `whole`, for a node that is computed whole. A `partial`, `group` or `halo` value has a different gradient
            in each tower, to be summed.
        groups: of a `group` or `halo` value, the number of groups that its channels are in; 1 otherwise.
        reach: of a `halo` value, the numbers of channels before and behind the tower's share.
    """

    form: Form
    groups: int = 1
    reach: tuple[int, int] = (0, 0)

    @property
    def order(self) -> tuple[int, int, tuple[int, int]]:
        """A key to sort the forms of a value by: the whole first, for others may be made of it."""
        return FORMS.index(self.form), self.groups, self.reach


DIVIDED, PARTIAL, WHOLE = Read("divided"), Read("partial"), Read("whole")


class Place(NamedTuple):
    """How a node is computed.

    Attributes:
        name: the node's.
        way: `apart`, each tower its own channels from its share of the inputs; `column`, its share of the filters from
            the whole input or, in groups, from the channels of one group; `halo`, its own channels from its share of
            the input and the channels next to that; or `whole`, the same in each tower.
        why: why a node that is computed whole is not divided; empty if all that it reads is whole too.
        groups: of a `column` or `halo` node, the groups that it works in.
        reach: of a `halo` node, the numbers of channels before and behind a channel that it reads with it.
    """

    name: str
    way: Way
    why: str = ""
    groups: int = 1
    reach: tuple[int, int] = (0, 0)

    @property
    def divided(self) -> bool:
        """Whether the node's value is divided among the towers."""
        return self.way != "whole"


def reads(node: Node, place: Place) -> dict[str, Read]:
    """The form in which a node reads each of its inputs, by their names."""
    match place.way:
        case "whole":
            return dict.fromkeys(node.inputs, WHOLE)
        case "column":
            return dict.fromkeys(node.inputs, PARTIAL if place.groups == 1 else Read("group", place.groups))
        case "halo":
            return dict.fromkeys(node.inputs, Read("halo", place.groups, place.reach))
        case "apart":
            apart = channelwise_inputs(node)
            return {name: DIVIDED if name in apart else PARTIAL for name in node.inputs}


def groups_of(node: Node) -> int:
    """The groups of a convolution or dense layer; 1 for any other op."""
    return node.op.groups if isinstance(node.op, FilterOp) else 1


def divides_groups(node: Node, towers: int) -> bool:
    """Whether each tower can compute whole groups of a layer, or each group be computed by a team of towers.

    The second divides a transposed convolution's weight along two axes, which is not supported.
    """
    groups = groups_of(node)
    teams = towers % groups == 0 and width(node.type) % towers == 0
    return is_channelwise(node, towers) or (teams and node.op.kind != "conv_transpose2d")


def place_node(node: Node, towers: int, places: Mapping[str, Place]) -> Place:
    """Place a node, given the places of the nodes before it. The groups of a layer have to fit the towers."""
    if not isinstance(node.op, FilterOp):
        if not any(name in places and places[name].divided for name in node.inputs):
            return Place(node.name, "whole")
        if is_channelwise(node, towers):
            return Place(node.name, "apart")
        return _with_halo(node, towers) or Place(node.name, "whole", _why_whole(node, towers))
    if is_channelwise(node, towers):
        return Place(node.name, "apart")
    if width(node.type) % towers:
        return Place(node.name, "whole", f"{width(node.type)} outputs cannot be divided among {towers} towers")
    return Place(node.name, "column", groups=node.op.groups)


def _with_halo(node: Node, towers: int) -> Place | None:
    """The place of an op that reads neighboring channels, none beyond the next tower; None for any other."""
    share, rest = divmod(width(node.type), towers)
    neighbors = node.op.neighbors()
    if neighbors is None or rest or towers % neighbors.groups or max(neighbors.before, neighbors.after) > share:
        return None
    return Place(node.name, "halo", groups=neighbors.groups, reach=(neighbors.before, neighbors.after))


def _why_whole(node: Node, towers: int) -> str:
    """Why an op without filters, of which not all inputs are whole, is computed whole."""
    for type in (*channelwise_inputs(node).values(), node.type):
        if width(type) % towers:
            return f"{width(type)} channels cannot be divided among {towers} towers"
    neighbors = node.op.neighbors()
    if neighbors is not None and towers % neighbors.groups == 0:
        return "channels beyond the next tower are read"
    return "channels are mixed or moved"
