"""Study files: their contents, and every mistake, reported with its place before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.training.material import recipe_of
from netspec.training.study.read import read_study
from tests.training.study.conftest import WriteStudy

SHIPPED = sorted((Path(__file__).parents[3] / "specs" / "studies").glob("*.yaml"))


def test_what_is_read(write_study: WriteStudy, tmp_path: Path) -> None:
    study = read_study(write_study())
    assert (study.name, study.source, study.backend, study.seeds) == ("small", "a test", "torch", (0, 1))
    assert study.data.path == str(tmp_path / "data.npz")
    assert study.data.holdout == 0.2
    assert str(study.target) == "50% training error"
    wide = study.members[0]
    assert (wide.name, wide.spec.name, wide.published and wide.published.source) == ("wide", "small", "nowhere")
    assert [recipe_of(member.spec).optimizer.learning_rate for member in study.members] == [0.02, 1e-6]
    assert [recipe_of(member.spec).epochs for member in study.members] == [2, 2]


def test_the_command_line_overrides_the_member_and_the_member_the_study(write_study: WriteStudy) -> None:
    path = write_study(("learning_rate: 1e-6", "learning_rate: 1e-6, training.epochs: 7"))
    assert [recipe_of(member.spec).epochs for member in read_study(path).members] == [2, 7]
    above = read_study(path, ["training.epochs=9", "classes=6"], [4])
    assert [recipe_of(member.spec).epochs for member in above.members] == [9, 9]
    assert [member.spec.parameters["classes"] for member in above.members] == [6, 6]
    assert above.seeds == (4,)


def test_settings_may_be_whole_parts_of_a_recipe(write_study: WriteStudy) -> None:
    schedule = "{name: multistep, at: [{epochs: 1}]}"
    path = write_study(("{training.epochs: 2}", f"{{training.epochs: 2, training.schedule: {schedule}}}"))
    assert recipe_of(read_study(path).members[0].spec).schedule.name == "multistep"


@pytest.mark.parametrize(("path", "kept"), [("digits", "digits"), ("s3://bucket/x", "s3://bucket/x")])
def test_data_that_are_no_local_path_stay_as_they_are(write_study: WriteStudy, path: str, kept: str) -> None:
    assert read_study(write_study(("data.npz, holdout: 0.2", path))).data.path == kept


MISTAKES = {
    "misspelt": (
        [("seeds: [0, 1]", "seed: [0, 1]")],
        """\
study.yaml:4:1: seed: study has no attribute 'seed'
    seed: [0, 1]
    ^
    hint: did you mean 'seeds'?""",
    ),
    "missing": (
        [("study: small\n", "")],
        """\
study.yaml:1:1: study needs 'study' (a string)
    source: a test
    ^""",
    ),
    "wrong-type": (
        [("seeds: [0, 1]", "seeds: [0, -1]")],
        """\
study.yaml:4:12: seeds[1]: expected a non-negative integer, received -1
    seeds: [0, -1]
               ^""",
    ),
    "seed-twice": (
        [("seeds: [0, 1]", "seeds: [1, 1]")],
        """\
study.yaml:4:8: seeds: a seed is listed twice: both runs would be the same
    seeds: [1, 1]
           ^""",
    ),
    "no-target": (
        [("{training_error: 0.5}", "{}")],
        """\
study.yaml:6:1: target: expected either `training_error` or `validation_error`, received neither
    target: {}
    ^""",
    ),
    "share": (
        [("top1_error: 0.2,", "top1_error: 20,")],
        """\
study.yaml:8:52: members.wide.published.top1_error: expected a number from 0 to 1, received 20
      wide: {spec: small.yaml, published: {top1_error: 20, source: nowhere}}
                                                       ^""",
    ),
    "folder-name": (
        [("study: small", "study: ../small"), ("  wide:", "  a/b:")],
        """\
study.yaml:1:8: study: '../small' cannot name a folder: expected letters of A to Z, digits, _ and -, a letter first, \
100 at most
    study: ../small
           ^
study.yaml:8:3: members.'a/b': 'a/b' cannot name a folder: expected letters of A to Z, digits, _ and -, a letter \
first, 100 at most
      a/b: {spec: small.yaml, published: {top1_error: 0.2, source: nowhere}}
      ^""",
    ),
    "no-such-spec": (
        [("wide: {spec: small.yaml", "wide: {spec: smal.yaml")],
        """\
study.yaml:8:16: members.wide.spec: smal.yaml: there is no such file
      wide: {spec: smal.yaml, published: {top1_error: 0.2, source: nowhere}}
                   ^
    hint: did you mean 'small.yaml'?""",
    ),
    "absolute": (
        [("wide: {spec: small.yaml", "wide: {spec: /small.yaml")],
        """\
study.yaml:8:16: members.wide.spec: '/small.yaml' is absolute
      wide: {spec: /small.yaml, published: {top1_error: 0.2, source: nowhere}}
                   ^
    hint: write the path relative to this file""",
    ),
    "setting-of-nothing": (  # in both members, reported once
        [("{training.epochs: 2}", "{clases: 3, training.epoch: 2}")],
        """\
study.yaml:5:7: set.clases: the spec has no parameter 'clases'
    set: {clases: 3, training.epoch: 2}
          ^
    hint: did you mean 'classes'?
study.yaml:5:18: set.'training.epoch': training has no attribute 'epoch'
    set: {clases: 3, training.epoch: 2}
                     ^
    hint: did you mean 'epochs'?""",
    ),
    "setting-of-a-member": (
        [("training.optimizer.learning_rate: 1e-6", "training.optimizer.learning_rate: fast")],
        """\
study.yaml:11:45: members.slow.set.'training.optimizer.learning_rate': expected a positive number, received 'fast' \
(a string)
        set: {training.optimizer.learning_rate: fast}
                                                ^""",
    ),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "1:1: a study is a mapping, received 'hello' (a string)"),
        ("study: a\nmembers: [b.yaml]", "2:10: members: expected a mapping, received a list\n    members: [b.yaml]"),
    ],
)
def test_a_file_of_another_form_is_told_what_a_study_is(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        read_study(tmp_path / "study.yaml")
    assert f"study.yaml:{expected}" in str(caught.value)
    assert "brackets" not in str(caught.value)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_reported_at_their_positions(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    replacements, expected = MISTAKES[mistake]
    write_study(*replacements)
    monkeypatch.chdir(tmp_path)  # so that diagnostics name the file as this text does
    with pytest.raises(SpecError) as caught:
        read_study(Path("study.yaml"))
    assert str(caught.value) == expected


def test_a_study_without_members_is_an_error(write_study: WriteStudy) -> None:
    path = write_study()
    path.write_text(path.read_text().partition("members:")[0] + "members: {}\n")
    with pytest.raises(SpecError, match=":7:1: members: a study needs at least one member"):
        read_study(path)


def test_mistakes_in_specs_are_reported_with_those_of_the_study(write_study: WriteStudy, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("{op: relu}", "{op: rely}"))
    path = write_study(("  slow:\n    spec: small.yaml", "  slow:\n    spec: absent.yaml"))
    with pytest.raises(SpecError) as caught:
        read_study(path)
    study, network = caught.value.diagnostics
    assert study.where is not None
    assert network.where is not None
    assert (study.where.file, study.where.path) == (str(path), "members.slow.spec")
    assert (network.where.file, network.where.path) == (str(spec), "layers.relu.op")


def test_shapes_and_recipes_are_checked_too(write_study: WriteStudy, spec: Path) -> None:
    text = spec.read_text()
    spec.write_text(text.replace("{shape: [64]}", "{shape: [3, 8, 8]}"))
    with pytest.raises(SpecError, match="dense"):
        read_study(write_study())
    spec.write_text(text[: text.index("training:")])
    with pytest.raises(SpecError, match="the spec has no `training` to change"):
        read_study(write_study())
    with pytest.raises(SpecError, match="the spec has no recipe: nothing says how to train it"):
        read_study(write_study(("set: {training.epochs: 2}\n", ""), ("    set: {training.optimizer", "    #")))


def test_a_spec_is_not_a_study(spec: Path) -> None:
    with pytest.raises(SpecError, match="this is the spec of a network, and a study was expected"):
        read_study(spec)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_can_be_read(path: Path) -> None:
    study = read_study(path)
    assert study.name == path.stem
    assert study.source.startswith("Krizhevsky et al. 2012, section")
    assert len(study.members) > 1
    assert len({member.spec.name for member in study.members}) == len(study.members)
    assert any(member.published for member in study.members)


def test_the_articles_claims_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == [
        "dropout",
        "overlapping-pooling",
        "relu-against-tanh",
        "response-normalization",
        "two-towers",
    ]
