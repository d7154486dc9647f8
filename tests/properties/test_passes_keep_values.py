"""Random specs, optimized: every value and every gradient equals that of the plain graph."""

from hypothesis import given, settings

from netspec.passes import Level, optimize
from netspec.testing.drawn.failing import show
from netspec.testing.drawn.strategies import DrawnSpec, specs
from tests.passes.pass_helpers import check_values
from tests.passes.torch_gradients import check_gradients

LEVELS: tuple[Level, ...] = ("training", "inference")


@settings(max_examples=120)
@given(drawn=specs())
def test_every_value_is_the_plain_graphs(drawn: DrawnSpec) -> None:
    show(drawn)
    for level in LEVELS:
        check_values(optimize(drawn.graph, level))


@settings(max_examples=60)
@given(drawn=specs())
def test_gradients_of_torch_are_the_plain_emissions(drawn: DrawnSpec) -> None:
    show(drawn)
    check_gradients(drawn.graph)
