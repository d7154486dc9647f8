"""Emitted source as a module."""

import sys

from netspec.lowering.python.module import load_source


def test_annotations_of_emitted_source_are_types() -> None:
    """The `from __future__` of the executing file does not apply to it: TorchScript reads types, not their text."""
    module = load_source("class Net:\n    size: int\n\n    def forward(self, x: int) -> float: ...\n", "net")
    assert module.Net.__annotations__ == {"size": int}
    assert module.Net.forward.__annotations__ == {"x": int, "return": float}
    del sys.modules[module.__name__]
