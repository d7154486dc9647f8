"""The examples of README and docs/: specs compile, programs run, excerpts are in their files, every key has one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

import netspec
from netspec.graph.analysis import analyze, at_inference
from netspec.lowering import backend_names
from netspec.ops.initializers import Normal, TruncatedNormal, Uniform, VarianceScaling
from netspec.recipe import Recipe
from netspec.spec.expressions.expression import FUNCTIONS
from netspec.spec.layers.blocks import KEYS as BLOCK_KEYS
from netspec.spec.layers.blocks import LAYER_KEYS
from netspec.spec.model import InputSpec, PlacementSpec, PreprocessingSpec, Published
from netspec.spec.parameters.declarations import TYPES
from netspec.spec.validate import KEYS
from netspec.training.study.model import MemberEntry, PublishedFigures, StudyData, StudyEntry, Target
from netspec.transfer.mapping import WeightMapping
from tests.docs.examples import PAGES, Example, examples, excerpts
from tests.docs.markdown import ROOT, Block, blocks, codes, prose, rows

EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_specs_compile(example: Example, tmp_path: Path) -> None:
    network = netspec.load(example.write(tmp_path))
    analysis = analyze(network.graph.check())
    counted = {"weights": analysis.weights, "trained": analysis.weights - analysis.untrained}
    counted |= {"neurons": analysis.neurons, "macs": at_inference(network.graph).macs}
    assert (network.spec.published or Published()).model_dump(exclude_none=True).items() <= counted.items()
    for backend in backend_names():
        assert network.lower(backend).graph.name == network.name


def test_a_wrong_example_fails(tmp_path: Path) -> None:
    with pytest.raises(netspec.SpecError):
        netspec.load(Example("", "training: {batch_size: 1, epochs: 1, optimiser: {}}\n", {}).write(tmp_path))


@pytest.mark.parametrize("block", [b for b in blocks("python") if not b.excerpt], ids=str)
def test_programs_run(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("specs").symlink_to(ROOT / "specs")
    exec(compile(block.text, str(block), "exec"), {"__name__": "example"})  # noqa: S102 # our own documentation


@pytest.mark.parametrize("block", excerpts(), ids=str)
def test_excerpts_are_in_the_file_that_they_name(block: Block) -> None:
    """The lines are in the file in this order. `# …` and `...` stand for omitted lines; comments may be omitted too."""
    file = iter((ROOT / block.excerpt).read_text().splitlines())
    for line in block.text.splitlines():
        if line.strip() and line.strip() not in ("...", "# …"):
            found = any(line in (candidate, candidate.partition("  # ")[0]) for candidate in file)
            assert found, f"{block.excerpt} has no line {line!r} after those above it"


def test_blocks_are_in_languages_that_are_checked() -> None:
    known = {"yaml", "python", "console", "mermaid"}
    unknown = [str(block) for block in blocks("", "bash", "sh", "py", "text", "json") if block.language not in known]
    assert not unknown, "write ```yaml, ```python or ```console"
    outside = [str(b) for b in blocks("yaml") if b.page not in PAGES and not b.excerpt]
    assert not outside, "YAML outside of docs/ is an excerpt of a file, which the page says above it"


def _fields(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of a model and of the models within it."""
    for name, field in model.model_fields.items():
        yield name
        for inner in _models(field.annotation):
            yield from _fields(inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from _models(argument)


LANGUAGE = (PreprocessingSpec, InputSpec, Published, PlacementSpec, Normal, TruncatedNormal, Uniform, VarianceScaling)
LANGUAGE_KEYS = {*KEYS, *LAYER_KEYS, *BLOCK_KEYS, "type", "default", "choices"}.union(*map(_fields, LANGUAGE))


@cache
def _shown_keys() -> set[str]:
    return set().union(*(example.all_keys() for example in EXAMPLES))


@pytest.mark.parametrize("key", sorted((LANGUAGE_KEYS | {*_fields(Recipe)}) - {"mean_image"}))
def test_every_key_has_an_example(key: str) -> None:
    """docs/language.md and docs/training.md are the reference: they show every key of a spec as it is written."""
    assert key in _shown_keys(), f"no example in docs/ has `{key}`"


@pytest.mark.parametrize("model", [*_models(Recipe.model_fields["optimizer"].annotation)], ids=lambda m: m.__name__)
def test_every_optimizer_has_an_example(model: type[BaseModel]) -> None:
    _assert_named(model)


@pytest.mark.parametrize("model", [*_models(Recipe.model_fields["schedule"].annotation)], ids=lambda m: m.__name__)
def test_every_schedule_has_an_example(model: type[BaseModel]) -> None:
    _assert_named(model)


def _assert_named(model: type[BaseModel]) -> None:
    (name,) = get_args(model.model_fields["name"].annotation)
    assert any(f"name: {name}" in example.text for example in EXAMPLES)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("language.md", {*TYPES, *FUNCTIONS}),
        ("training.md", set().union(*map(_fields, (StudyEntry, StudyData, MemberEntry, PublishedFigures, Target)))),
        ("weights.md", {*WeightMapping.__annotations__} & {"spec", "origin", "source", "models", "layers", "ignored"}),
    ],
    ids=["language", "studies", "mappings"],
)
def test_words_are_explained(page: str, words: set[str]) -> None:
    path = ROOT / "docs" / page
    explained = {word for code in codes(prose(path)) for word in code.replace(":", " ").split()}
    explained |= {key for example in EXAMPLES for key in example.all_keys()}
    assert words <= explained


def test_each_key_has_one_row() -> None:
    keys = [code for page in PAGES if page.name != "ops.md" for row in rows(page) for code in codes(row[0])]
    full = [key for key in keys if ": {" in key]
    assert len(full) == len(set(full))
