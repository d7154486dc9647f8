"""The command lines of README and docs/: their commands and options exist, and they print what the page shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import click
import pytest

from netspec.cli.app import COMMANDS, cli, run
from tests.docs.markdown import PAGES, ROOT, Block, blocks, codes, prose, rows

README = ROOT / "README.md"
Mask = Callable[[str], str]
_WEIGHT = re.compile(r"\b\w+\.(weight|bias)\b")
_NUMBER = re.compile(r"\d[\d.]*(e-\d+)?")


def masked(text: str) -> str:
    """Return a line without what differs between machines: numbers, the name of the worst weight, column widths."""
    return " ".join(_NUMBER.sub("#", _WEIGHT.sub("weight", text)).removesuffix(" *").split())


def exact(text: str) -> str:
    """Return a line as it is."""
    return text.rstrip()


# The commands whose output is shown: options that make them faster, and the mask of the lines to compare.
SHOWN: dict[str, tuple[str, Mask]] = {
    "netspec verify specs/alexnet.yaml": ("", masked),
    "netspec train specs/lenet5.yaml --exact": ("--set training.epochs=3", masked),
    "netspec train specs/lenet5.yaml --exact --backend keras": ("--set training.epochs=3", masked),
    "netspec check wrong.yaml": ("", exact),
    "netspec show specs/alexnet.yaml --passes": ("", exact),
    "netspec show specs/alexnet.yaml --placement": ("", exact),
    "netspec show specs/alexnet.yaml --placement --set placement.towers=4": ("", exact),
    "netspec show specs/unet.yaml --placement --set placement.towers=2": ("", exact),
}
ELSEWHERE = {"netspec weights import --from torchvision:resnet18 resnet18.pth"}  # tests/cli/test_weights_command.py


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Return the command lines of a block, each with the output that is shown below it."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    lines = [part.splitlines() for part in parts]
    return [(re.sub(r"\s+# .*", "", first), [line for line in rest if line.strip()]) for first, *rest in lines]


ALL = [(block, *command) for block in blocks("console") for command in commands(block)]
LINES = [(block, line) for block, line, _ in ALL if "netspec " in line]
OUTPUTS = [(block, line, shown) for block, line, shown in ALL if shown and line not in ELSEWHERE]


@pytest.mark.parametrize(("block", "line"), LINES, ids=[f"{block}: {line}" for block, line in LINES])
def test_command_lines_can_be_parsed(block: Block, line: str) -> None:
    words = shlex.split(line)
    _parse(words[words.index("netspec") + 1 :])
    for word in words:
        if word.startswith("specs/"):
            assert (ROOT / word).exists()


def test_a_wrong_command_line_fails() -> None:
    with pytest.raises(click.UsageError):
        _parse(["show", "specs/alexnet.yaml", "--place"])


def _parse(words: list[str]) -> None:
    """Parse a command line as `netspec` does, without running it."""
    command, arguments = _command(words)
    command.make_context(command.name, arguments, parent=click.Context(cli))


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command, words = command.get_command(context, words[0]), words[1:]
        assert command is not None
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_exist_and_have_their_options(page: Path) -> None:
    for code in codes(prose(page)):
        words = code.replace("…", " ").split()
        if "netspec" in words[:-1] and words[words.index("netspec") + 1] in COMMANDS:
            assert _options(words) <= _known(words), code
        elif words[:1] == ["netspec"] and len(words) > 1:
            assert words[1].startswith("-"), f"there is no command {words[1]}"


def _options(words: list[str]) -> set[str]:
    arguments = words[words.index("netspec") :]
    return {word.partition("=")[0] for word in arguments if word.startswith("--")}


def _known(words: list[str]) -> set[str]:
    command, _ = _command(words[words.index("netspec") + 1 :])
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def test_the_table_of_commands_has_all_and_their_options() -> None:
    table = [row for row in rows(README) if codes(row[0]) and codes(row[0])[0].startswith("netspec ")]
    named = [code.split()[1] for row in table for code in codes(row[0])]
    assert [name for name in COMMANDS if name not in named] == []
    for command, description in table:
        options = {code.split()[0] for code in codes(description) if code.startswith("--")}
        known = set().union(*(_known(re.sub("[…|]", " ", code).split()) for code in codes(command)))
        assert options <= known, command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is empty except for specs/."""
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("block", "line", "shown"), OUTPUTS, ids=[f"{block}: {line}" for block, line, _ in OUTPUTS])
def test_shown_output_is_printed(
    block: Block, line: str, shown: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in SHOWN, "add the command to SHOWN"
    options, mask = SHOWN[line]
    if "verify" in line:
        _narrow(folder / "specs")
    if "wrong.yaml" in line:
        (folder / "wrong.yaml").write_text(_wrong(shown))
    if "keras" in line:
        (folder / "runs" / "lenet5").mkdir(parents=True)  # the run of the command above it
    run([*shlex.split(line)[1:], *options.split()])
    captured = capsys.readouterr()
    errors, printed = ([mask(each) for each in text.splitlines()] for text in (captured.err, captured.out))
    rest = iter(printed)  # `in` consumes it, and so checks the order
    for expected in shown:
        if not expected.startswith("…") and mask(expected) not in errors:
            assert mask(expected) in rest, f"{expected!r} is not printed there:\n{captured.out}{captured.err}"


def _narrow(specs: Path) -> None:
    """Replace AlexNet by a variant with few units in the large dense layers, which takes less time to verify."""
    specs.unlink()
    specs.mkdir()
    (specs / "base.yaml").write_text((ROOT / "specs" / "alexnet.yaml").read_text())
    narrow = "extends: base.yaml\nname: alexnet\nlayers: {fc6: {units: 64}, fc7: {units: 64}}\n"
    (specs / "alexnet.yaml").write_text(narrow)


def _wrong(shown: list[str]) -> str:
    """Return the spec of AlexNet with the wrong lines of the shown diagnostics in their places."""
    lines = (ROOT / "specs" / "alexnet.yaml").read_text().splitlines()
    for place, line in pairwise(shown):
        if found := re.match(r"wrong\.yaml:(\d+):", place):
            lines[int(found[1]) - 1] = line.removeprefix("    ")
    return "\n".join([*lines, ""])
