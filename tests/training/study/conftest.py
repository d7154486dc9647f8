"""A study of two small networks that train quickly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = """\
study: small
source: a test
data: {path: data.npz, holdout: 0.2}
seeds: [0, 1]
set: {training.epochs: 2}
target: {training_error: 0.5}
members:
  wide: {spec: small.yaml, published: {top1_error: 0.2, source: nowhere}}
  slow:
    spec: small.yaml
    set: {training.optimizer.learning_rate: 1e-6}
    published: {top1_error: 0.25, claim: much slower, source: nowhere else}
"""

WriteStudy = Callable[..., Path]


@pytest.fixture
def write_study(tmp_path: Path, spec: Path, data: Path) -> WriteStudy:
    """Return a function that writes the study with some of its text replaced."""
    assert spec.parent == data.parent == tmp_path

    def write(*replacements: tuple[str, str]) -> Path:
        text = STUDY
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return path

    return write
