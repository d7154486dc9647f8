"""README's table of the zoo. `python -m tests.specs.zoo_table` prints it; a test holds README to it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from netspec.spec import read_spec
from tests.specs.member import Member
from tests.specs.zoo import MEMBERS

SPECS = Path(__file__).parents[2] / "specs"

# Lines of code of the file of torchvision 0.28 that defines the family (torchvision/models/NAME.py): classes and the
# functions that they need, without blank lines, comments, docstrings, imports and the documentation of weights.
BY_HAND = {
    "convnext": 135,
    "densenet": 164,
    "efficientnet": 296,
    "googlenet": 188,
    "inception-v3": 291,
    "mnasnet": 138,
    "mobilenet-v2": 112,
    "mobilenet-v3-large": 209,
    "regnet-y": 269,
    "resnet": 209,
    "shufflenet-v2": 123,
    "squeezenet": 82,
    "swin": 413,
    "vgg": 65,
    "vit": 283,
}
VERIFIED = ("torch", "keras", "onnx")  # against the reference, each spec by a test
TITLE = (
    "| spec | members | weights | multiply-adds | lines | by hand | one function in |",
    "|---|---|---|---|---|---|---|",
)


def rows() -> list[str]:
    """Return a row for each spec of the zoo, in the order of `MEMBERS`."""
    return [_row(spec, list(members)) for spec, members in groupby(MEMBERS, key=lambda member: member.spec)]


def lines_of(spec: str) -> list[str]:
    """Return the lines that are neither blank nor only a comment."""
    lines = (SPECS / f"{spec}.yaml").read_text().splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _row(spec: str, members: list[Member]) -> str:
    lines = len(lines_of(spec))
    names = ", ".join(dict.fromkeys(_settings(member) or _by_default(member, members) for member in members))
    weights = _span([member.trained for member in members], "M", 1e6)
    all_macs = [member.macs for member in members]
    macs = _span(all_macs, "G", 1e9) if max(all_macs) >= 1e6 else _span(all_macs, "M", 1e6)
    by_hand = str(BY_HAND[spec]) if spec in BY_HAND else ""
    verified = _unbroken(", ".join(VERIFIED))
    return f"| [{spec}](specs/{spec}.yaml) | {names} | {weights} | {macs} | {lines} | {by_hand} | {verified} |"


def _settings(member: Member) -> str:
    stated = {name: value for name, value in member.settings.items() if value is not False}
    return " ".join(name if value is True else str(value) for name, value in stated.items())


def _by_default(member: Member, members: list[Member]) -> str:
    """Return the defaults in the spec of the parameters that the other members set."""
    names = dict.fromkeys(name for other in members for name, value in other.settings.items() if value is not False)
    parameters = read_spec(SPECS / f"{member.spec}.yaml").parameters
    return " ".join(str(parameters[name]) for name in names)


def _span(values: list[int], unit: str, size: float) -> str:
    least, most = _rounded(min(values) / size), _rounded(max(values) / size)
    return _unbroken(f"{least} {unit}" if least == most else f"{least} to {most} {unit}")


def _unbroken(text: str) -> str:
    """Return the text with spaces at which a table cannot break it."""
    return text.replace(" ", "\u00a0")


def _rounded(value: float) -> str:
    """Return a number with three digits: 0.301, 4.09, 25.6, 138."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


if __name__ == "__main__":
    print("\n".join((*TITLE, *rows())))
