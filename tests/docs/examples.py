"""The YAML examples of docs/, completed to whole specs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from netspec.recipe import Recipe
from netspec.spec.model import PreprocessingSpec
from netspec.spec.validate import KEYS
from tests.docs.markdown import ROOT, Block, blocks, codes, rows

PAGES = tuple(sorted((ROOT / "docs").glob("*.md")))
MISSING = {
    "name": "name: example",
    "input": "input: {shape: [3, 32, 32]}",
    "layers": "layers: {average: {op: global_avg_pool2d}, fc: {op: dense, units: 10}}",
}
# Logits for each pixel, which `pixel_weights` needs.
MAP_OF_LOGITS = "layers: {conv: {op: conv2d, filters: 10, kernel_size: 1}}"
NEEDED = {"batch_size": "128", "steps": "10", "optimizer": "{name: sgd, learning_rate: 0.1}"}
_FILE = re.compile(r"# (\S+\.yaml)\n")


class Example(NamedTuple):
    """A spec to compile, and the files that have to lie beside it, by name."""

    title: str
    text: str
    beside: dict[str, str]

    def write(self, folder: Path) -> Path:
        """Write the spec and the files beside it into a folder, and return the path of the spec."""
        for name, text in self.beside.items():
            (folder / name).write_text(text)
        path = folder / "example.yaml"
        path.write_text(self.text)
        return path

    def all_keys(self) -> set[str]:
        """Return every key of the spec, at any depth."""
        return set(_keys(yaml.safe_load(self.text)))


def examples() -> list[Example]:
    """Return the examples in code blocks, and those in the first cell of a table row: `schedule: {name: cosine}`."""
    found = []
    files: dict[tuple[Path, int], dict[str, str]] = {}  # the named files of each section
    for block in blocks("yaml", pages=PAGES):
        if block.excerpt:
            continue
        beside = files.setdefault((block.page, block.section), {})
        if named := _FILE.match(block.text):
            beside[named[1]] = block.text
        if not named or "name" in yaml.safe_load(block.text):
            found.append(Example(str(block), completed(block.text), dict(beside)))
    for page in PAGES:
        cells = [code for row in rows(page) for code in codes(row[0]) if re.match(r"\w+: ", code)]
        found += [Example(f"{page.name}: {code}", completed(code), {}) for code in cells]
    return found


def completed(text: str) -> str:
    """Complete a part of a spec, of its recipe, of its preprocessing or of a convolution to a whole spec."""
    key = next(iter(yaml.safe_load(text)))
    line = text.strip()
    if key in Recipe.model_fields:
        stated = set(yaml.safe_load(text)) | ({"steps"} if "epochs" in yaml.safe_load(text) else set())
        needed = [f"{name}: {value}" for name, value in NEEDED.items() if name not in stated]
        text = f"training: {{{', '.join([line, *needed])}}}\n"
    elif key in PreprocessingSpec.model_fields:
        channels = 1 if "gray" in line else 3
        text = f"input: {{shape: [{channels}, 32, 32], preprocessing: {{{line}}}}}\n"
    elif key not in KEYS:
        text = f"layers: {{conv: {{op: conv2d, filters: 4, kernel_size: 3, {line}}}}}\n"
    if "pixel_weights" in line:
        text += f"{MAP_OF_LOGITS}\n"
    spec = yaml.safe_load(text)
    added = [MISSING[key] for key in MISSING if key not in spec and "extends" not in spec and f"{key}s" not in spec]
    return "\n".join([text, *added, ""])


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def excerpts() -> list[Block]:
    """Return the blocks that are marked as excerpts of a file."""
    return [block for block in blocks("yaml", "python", "console", "") if block.excerpt]
