"""The zoo: each member has the figures of its source, each spec is one function in all backends and stays short."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest

import netspec
from netspec.graph import Graph
from netspec.graph.analysis import analyze, at_inference
from netspec.passes import Level, optimize
from tests.specs.member import Member
from tests.specs.small import SMALL, SPECS, load_small
from tests.specs.zoo import MEMBERS
from tests.specs.zoo_table import TITLE, VERIFIED, rows

ZOO = sorted({member.spec for member in MEMBERS})
# Small members that are verified after passes too.
OPTIMIZED: tuple[tuple[str, Level], ...] = (
    ("densenet", "training"),
    ("zfnet", "training"),
    ("densenet", "inference"),
    ("mobilenet-v1", "inference"),
    ("vgg", "inference"),
    ("swin", "inference"),
    ("convnext", "inference"),
)
LONGEST, MEDIAN, WIDEST = 120, 60, 120  # lines of a spec, blank ones and comments included; characters of a line

SHARED = [*SPECS.glob("recipes/*.yaml"), *SPECS.glob("preprocessing/*.yaml")]


def path_of(spec: str) -> Path:
    return SPECS / f"{spec}.yaml"


def graph_of(spec: str) -> Graph:
    return load_small(spec).graph


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_figures(member: Member) -> None:
    network = netspec.load(path_of(member.spec), member.settings)
    graph = network.graph.check()
    analysis = analyze(graph)
    assert analysis.weights - analysis.untrained == member.trained
    assert analysis.untrained == member.not_trained
    assert at_inference(graph).macs == member.macs
    assert tuple(graph.type_of(name).features for name in graph.main) == member.outputs
    published = network.spec.published
    assert published is not None
    assert published.trained == member.trained
    assert published.macs in (None, member.macs)


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_macs_are_those_of_the_source(member: Member) -> None:
    stated = re.search(r"([\d.]+) ([GM])\b", member.source)
    if stated is None:  # the source gives no such figure, and says how it was counted
        assert "counted" in member.source
        return
    digits = len(stated[1].partition(".")[2])
    assert f"{member.macs / {'G': 1e9, 'M': 1e6}[stated[2]]:.{digits}f}" == stated[1]


def test_each_spec_has_a_small_member_to_be_verified() -> None:
    assert sorted(SMALL) == ZOO


@pytest.mark.parametrize("spec", ZOO)
def test_backends_are_one_function(spec: str) -> None:
    """Outputs of torch, Keras and ONNX against the reference; gradients of the two that train against each other."""
    load_small(spec).verify(VERIFIED, "gradient").require()


@pytest.mark.parametrize(("spec", "level"), OPTIMIZED)
def test_optimized_backends_are_one_function(spec: str, level: Level) -> None:
    """Like the plain network, with gradients if there are any, for members in which the passes change much."""
    load_small(spec).verify(VERIFIED, optimize=level).require()


def test_optimized_members_have_what_passes_change() -> None:
    steps = [step for spec, level in OPTIMIZED for step in optimize(graph_of(spec), level).steps]
    changed = {step.name for step in steps if step.changed}
    folds = {"fold-constants", "fold-affine"}
    assert changed == folds | {"remove-dropout", "relu-after-max-pool", "channels-last", "in-place"}


def test_readme_has_the_zoo() -> None:
    readme = (SPECS.parent / "README.md").read_text()
    assert "\n".join((*TITLE, *rows())) in readme, "python -m tests.specs.zoo_table prints the table as it is now"


def test_specs_are_short() -> None:
    counts = {spec: len(path_of(spec).read_text().splitlines()) for spec in ZOO}
    assert max(counts.values()) <= LONGEST, counts
    assert median(counts.values()) < MEDIAN, counts


@pytest.mark.parametrize("path", [*SPECS.glob("*.yaml"), *SHARED], ids=lambda path: path.stem)
def test_lines_are_short(path: Path) -> None:
    wide = [number for number, line in enumerate(path.read_text().splitlines(), 1) if len(line) > WIDEST]
    assert not wide, f"lines of more than {WIDEST} characters"


@pytest.mark.parametrize("path", SHARED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_of_recipes_and_preprocessing_are_shared(path: Path) -> None:
    """A spec is not made short by moving a part of it elsewhere."""
    specs = sum(f"extends: {path.relative_to(SPECS)}" in spec.read_text() for spec in SPECS.glob("*.yaml"))
    beside = sum(f"extends: {path.name}\n" in other.read_text() for other in path.parent.glob("*.yaml"))
    assert specs + beside > 1
