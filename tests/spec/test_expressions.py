"""`${…}`: what it computes, and what it does not accept."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netspec.errors import SpecError
from netspec.spec import load_graph, read_spec
from netspec.spec.expressions.expression import ExpressionError, evaluate_text

PARAMETERS = {
    "classes": 10,
    "width": 0.5,
    "wide": True,
    "form": "tanh",
    "gains": {"relu": 2, "tanh": 5},
    "counts": (2, 3, 4),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${classes}", 10),
        ("${classes * 2 + 1}", 21),
        ("${classes / 2}", 5.0),
        ("${classes // 3}", 3),
        ("${classes % 3}", 1),
        ("${-classes}", -10),
        ("${2 ** 10}", 1024),
        ("${2 ** -1}", 0.5),
        ("${1e-4}", 1e-4),
        ("${int(classes * width)}", 5),
        ("${round(2.567, 1)}", 2.6),
        ("${round(2.5)}", 2),
        ("${max(1, classes, 3)}", 10),
        ("${max(classes)}", 10),
        ("${min(1, abs(-4))}", 1),
        ("${max(counts)}", 4),
        ("${min(counts[1:])}", 3),
        ("${sum(counts)}", 9),
        ("${sum(counts[:0])}", 0),
        ("${sum(counts[:classes - 8])}", 5),
        ("${counts[-2:]}", (3, 4)),
        ("${len(counts[5:])}", 0),
        ("${classes > 5}", True),
        ("${1 < classes <= 10}", True),
        ("${not wide}", False),
        ("${wide and classes == 10}", True),
        ("${form == 'tanh'}", True),
        ("${64 if wide else 32}", 64),
        ("${wide}", True),
        ("${form}", "tanh"),
        ("${ classes }", 10),
        ("${gains[form]}", 5),
        ("net-${classes}-${form}-${wide}", "net-10-tanh-true"),
        ("${classes}${classes}", "1010"),
        ("plain $ text }", "plain $ text }"),
    ],
)
def test_values_and_their_types(text: str, value: object) -> None:
    result = evaluate_text(text, PARAMETERS)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("0.2 * 3 / 8", 0.075),
        ("0.1 + 0.2", 0.3),
        ("1 - 0.9", 0.1),
        ("0.2 * 1 / 11", 1 / 55),
        ("0.7 % 0.1", 0.0),
        ("-0.3 // 0.1", -3.0),
        ("7.5 // 2", 3.0),
        ("int(0.29 * 100)", 29),
        ("0.1 + 0.2 if 0.1 + 0.2 == 0.3 else 0", 0.3),
        ("1e-308 * 1e-308", 0.0),
        ("2 ** 0.5 * 2", 2 * 2**0.5),
        ("1.1 ** 2", 1.21),
        ("0.3 ** 3 == 0.3 * 0.3 * 0.3", True),
        ("10 ** -1 * 3", 0.3),
        ("0.1 ** -2", 100.0),
        ("(-0.1) ** 3.0", -0.001),
        ("0.999 ** 100000", 0.999**100000),
        ("1.0 ** 1e300", 1.0),
        ("4 / 2", 2.0),
        ("sum(tenths)", 0.6),
        ("sum(tenths[:2]) == 0.3", True),
    ],
)
def test_decimals_are_rounded_once(code: str, value: float) -> None:
    result = evaluate_text(f"${{{code}}}", {"tenths": (0.1, 0.2, 0.3)})
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("code", ["1e308 * 10", "-1e308 / 0.1", "1e308 + 1e308", "1e200 * 1e200 * 1e-200"])
def test_results_beyond_float64_are_errors(code: str) -> None:
    with pytest.raises(ExpressionError, match="not a finite number"):
        evaluate_text(f"${{{code}}}", {})


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0].__subclasses__()",
        "classes.real",
        "gains['gelu']",
        "gains[0]",
        "gains[gains]",
        "open('/etc/passwd')",
        "eval('1')",
        "[1, 2]",
        "(1, 2)",
        "x for x in y",
        "lambda: 1",
        "f'{classes}'",
        "classes if wide",
        "wide := 3",
        "classes = 3",
        "import os",
        "1; 2",
        "1 if",
        "9 ** 9 ** 9",
        "2 ** 63",
        "10 ** -400 * 10 ** 400",
        "1e308 * 10",
        "'a' * 10 ** 9",
        "'a' + 'b'",
        "form + 1",
        "wide + 1",
        "1 << 100",
        "1 in (1, 2)",
        "1 is 1",
        "~classes",
        "(-8) ** 0.5",
        "classes / 0",
        "classes % 0",
        "0 ** -1",
        "round(5, -10 ** 9)",
        "round(1.5, 400)",
        "max()",
        "max(counts[:0])",
        "max(counts, 1)",
        "sum(1, 2)",
        "sum(classes)",
        "sum(gains)",
        "sum()",
        "counts[::2]",
        "counts[:width]",
        "counts[:True]",
        "form[:1]",
        "gains[:1]",
        "counts + counts",
        "max(classes=1)",
        "min('a', 'b')",
        "int('9' * 400)",
        "abs(form)",
        "max",
        "None",
        "...",
        "b'x'",
        "1j",
        "form < 1",
        "1+" * 145 + "1 +",
        "1" * 299,
        "\0",
        "\ud800",
        "",
        "  ",
    ],
)
def test_everything_else_is_refused(code: str) -> None:
    if "{" in code:
        code = code.replace("{", "(").replace("}", ")")
    with pytest.raises(ExpressionError):
        evaluate_text(f"${{{code}}}", PARAMETERS)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([*"0123456789+-*/%()<>=!.,e' ", "classes", " if ", " else "]), max_size=30).map("".join)
)
@example("-" * 250 + "1")
@example("(" * 145 + "1" + ")" * 145)
@example("not " * 70 + "1")
def test_any_text_has_a_value_or_an_error(code: str) -> None:
    try:
        value = evaluate_text(f"${{{code}}}", PARAMETERS)
    except ExpressionError:
        return
    assert isinstance(value, int | float | str)


def test_expressions_reach_every_part_of_a_spec(write) -> None:
    path = write(
        "name: net-${classes}\n"
        "source: ${note}\n"
        "input: {shape: [3, '${size}', '${size + 1}']}\n"
        "parameters: {classes: 10, size: 8, half: '${classes // 2}', note: a note, rate: '${1 / half}'}\n"
        "defaults: {dense: {bias: '${classes > 20}'}}\n"
        "layers:\n  flat: {op: flatten}\n  fc: {op: dense, units: '${half}'}\n"
        "training: {batch_size: '${half}', epochs: 1, optimizer: {name: adam, learning_rate: '${rate}'}}\n"
    )
    spec = read_spec(path)
    assert (spec.name, spec.source) == ("net-10", "a note")
    assert spec.parameters == {"classes": 10, "size": 8, "half": 5, "note": "a note", "rate": 0.2}
    graph = load_graph(path)
    assert graph.inputs[0].type.features == (3, 8, 9)
    assert graph.type_of("fc").features == (5,)
    assert set(graph.weights) == {"fc.weight"}
    assert spec.training is not None
    assert spec.training.optimizer.learning_rate == 0.2


SETTABLE = (
    "name: example\ninput: {shape: [8]}\nparameters: {classes: 10, wide: false, rate: 0.5}\n"
    "layers:\n  fc: {op: dense, units: '${classes * 2 if wide else classes}'}\n"
    "training: {batch_size: 4, epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}\n"
)


def test_set_replaces_parameters_and_parts_of_the_recipe(write) -> None:
    path = write(SETTABLE)
    assert load_graph(path, set=["classes=7", "wide=true"]).type_of("fc").features == (14,)
    assert load_graph(path, set={"classes": "7"}).type_of("fc").features == (7,)
    recipe = read_spec(
        path,
        set=[
            "training.batch_size=64",
            "training.optimizer.momentum=0.9",
            "training.schedule={name: cosine}",
            "training.seed=3",
        ],
    ).training
    assert recipe is not None
    assert (recipe.batch_size, recipe.seed, recipe.schedule.name) == (64, 3, "cosine")
    assert recipe.optimizer.model_dump()["momentum"] == 0.9
    assert recipe.optimizer.learning_rate == 0.1


def test_another_name_replaces_its_part_of_the_recipe(write) -> None:
    """As in a file that extends the spec, and in whatever order: Adam has no momentum."""
    path = write(SETTABLE.replace("learning_rate: 0.1", "learning_rate: 0.1, momentum: 0.9"))
    settings = ["training.optimizer.learning_rate=0.002", "training.optimizer.name=adam"]
    for order in (settings, settings[::-1]):
        recipe = read_spec(path, set=order).training
        assert recipe is not None
        assert (recipe.optimizer.name, recipe.optimizer.learning_rate) == ("adam", 0.002)
    recipe = read_spec(path, set=["training.optimizer.name=sgd"]).training
    assert recipe is not None
    assert recipe.optimizer.model_dump()["momentum"] == 0.9  # the same name changes nothing
    with pytest.raises(SpecError) as caught:
        read_spec(path, set=settings[1:])
    assert str(caught.value).splitlines()[:2] == [
        "--set:1:1: optimizer needs 'learning_rate' (a positive number)",
        "    training.optimizer.name=adam",
    ]


def test_set_takes_values_of_python(write) -> None:
    spec = "name: x\ninput: {shape: [4]}\nparameters: {sizes: [3], bias: true, note: {type: string, default: a}}\n"
    path = write(f'{spec}layers: {{fc: {{op: dense, units: "${{sizes[0]}}", bias: "${{bias}}"}}}}\n')
    given = {"sizes": (5, 6), "bias": False, "note": "b"}
    assert dict(read_spec(path, given).parameters) == given
    assert read_spec(path, "bias=false").parameters["bias"] is False
    recipe = read_spec(write(SETTABLE), {"training.epochs": None, "training.steps": 5}).training
    assert recipe is not None
    assert (recipe.epochs, recipe.steps) == (None, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clases=3", "did you mean 'classes'"),
        ("classes", "expected name=value, received 'classes'"),
        ("classes=", "expected name=value"),
        ("=3", "expected name=value"),
        (
            "classes=ten",
            r"--set:1:9: parameters|--set:1:9: expected a value of the same type as in the spec, 10, received 'ten'",
        ),
        ("classes=true", "received true"),
        ("classes=#5", "the value of 'classes' is empty"),
        ("classes=[1", r"--set:1:9: this `\[` is never closed"),
        ("classes=1e400", "--set:1:9: 1e400 is beyond"),
        ("wide=1", "in the spec, false, received 1"),
        ("classes=-4", "expected a positive integer, received -4"),
        ("training.batch_sise=3", "did you mean 'batch_size'"),
        ("training.batch_size=x", "--set:1:21: .*expected a positive integer, received 'x'"),
        ("placement=2", "(?s)no parameter .placement.*placement.towers=…"),
        ("training.batch_size.x=3", "'batch_size' is 4 in the spec"),
        ("layers.fc.units=3", "cannot be set: parameters, `training.…` and `placement.towers` can\\n    layers"),
        ("trainin.batch_size=3", "did you mean `training.batch_size`"),
        ("parameters.classes=3", "`classes=…` sets it"),
    ],
)
def test_invalid_settings_are_refused(write, text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        load_graph(write(SETTABLE), set=[text])


def test_a_parameter_whose_default_is_an_expression_takes_any_value(write) -> None:
    spec = "name: x\ninput: {shape: [4]}\nparameters: {a: 3, sizes: '${a}'}\n"
    path = write(f'{spec}layers: {{fc: {{op: dense, units: "${{sizes[0]}}"}}}}\n')
    assert load_graph(path, set=["sizes=[5, 6]"]).type_of("fc").features == (5,)


def test_set_is_shown_with_a_caret(write) -> None:
    with pytest.raises(SpecError) as caught:
        load_graph(write(SETTABLE), set=["training.optimizer.learning_rate=-1"])
    assert str(caught.value).splitlines() == [
        "--set:1:34: expected a positive number, received -1",
        "    training.optimizer.learning_rate=-1",
        "                                     ^",
    ]


def test_an_invalid_value_is_reported_once(write) -> None:
    with pytest.raises(SpecError) as caught:
        load_graph(write(SETTABLE), set=["classes=!!int 3"])
    assert len(caught.value.diagnostics) == 1
    assert str(caught.value).startswith("--set:1:9: tags have no place in a spec")


def test_a_list_that_expressions_nest_without_end_is_refused(write) -> None:
    nested = "".join(f'  b{i}: {{type: list, default: ["${{b{i - 1}}}"]}}\n' for i in range(1, 2000))
    path = write(f"name: x\ninput: {{shape: [4]}}\nlayers: {{r: {{op: relu}}}}\nparameters:\n  b0: [1]\n{nested}")
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    assert "spec.yaml:70:31: parameters.b65.default[0]: a list of more than 64 levels of nesting" in str(caught.value)
