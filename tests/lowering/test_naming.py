"""Variables of emitted source: `x` along a chain, and a name of its own for each value that is read later."""

import keyword

import pytest

from netspec.graph import Graph, Input, make_node
from netspec.lowering.blocks.parts import split
from netspec.lowering.python.naming import Step, class_name, module_name, names_of_steps, variables_of
from netspec.ops import Add, Relu, Tanh
from netspec.types import TensorType


def residual(*outputs: str) -> Graph:
    image = Input("image", TensorType.of(4))
    stem = make_node("stem", Relu(), [image])
    left = make_node("left", Tanh(), [stem])
    both = make_node("sum", Add(), [left, stem])
    last = make_node("self", Relu(), [both])
    return Graph("net", (image,), (stem, left, both, last), outputs or ("self",)).check()


def test_a_chain_runs_in_one_variable() -> None:
    assert variables_of(split(residual()), ["self"]) == {
        "image": "x",
        "stem": "stem",
        "left": "x",
        "sum": "x",
        "self": "x",
    }


def test_a_value_that_is_shown_keeps_its_name() -> None:
    variables = variables_of(split(residual("left", "self")), ["self"])
    assert variables["left"] == "left"
    assert variables["self"] == "self_"


def test_inputs_that_are_read_again_keep_their_names() -> None:
    assert variables_of(split(residual()), [], chain_inputs=False)["image"] == "image"


def test_variables_are_distinct() -> None:
    graph = residual("image", "stem", "left", "sum", "self")
    variables = list(variables_of(split(graph), ["image", "image_", "left"]).values())
    assert len(set(variables)) == len(variables)
    assert not {"x", "image", "image_", "left"} & set(variables)


@pytest.mark.parametrize(
    "spec_name", ["alexnet-2012", "2012", "none", "true", "class", "import", "-", "...", "a b\nc", "é", "_"]
)
def test_names_of_specs_become_identifiers(spec_name: str) -> None:
    for made in (module_name(spec_name), class_name(spec_name)):
        assert made.isidentifier()
        assert made.isascii()
        assert not keyword.iskeyword(made)


@pytest.mark.parametrize(("first", "expected"), [("deep", "deep"), ("input", "x"), ("x", "x")])
def test_of_several_inputs_the_first_keeps_the_name_that_the_spec_gives_it(first: str, expected: str) -> None:
    steps = [Step({"a"}, {"v": "conv"}), Step({"v", "b"}, {"s": "sum"})]
    names = names_of_steps({"a": first, "b": "skip"}, steps, ["s"], ())
    assert names == {"a": expected, "b": "skip", "v": "x", "s": "x"}
    assert names_of_steps({"a": first}, [Step({"a"}, {"v": "conv"})], ["v"], ()) == {"a": "x", "v": "x"}
