"""The benchmarks, without measuring: their rows name subjects that exist, and the input pipeline's peer is timed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROWS = """
import json
from rows import ROWS
ours = [(row.ours, sorted(row.arguments | row.our_arguments)) for row in ROWS]
print(json.dumps(ours + [(row.peer, sorted(row.arguments | row.peer_arguments)) for row in ROWS]))
"""
PEER = """
from subjects import pipeline
from worker import mean_seconds
pipeline.STEPS, pipeline._dataset = 1, lambda: pipeline.GeneratedJpegs(2)
print(mean_seconds(pipeline.decoding(), 1))
"""


def run(code: str) -> str:
    """Run a program in benchmarks/, where the modules have their own names, and return what it prints."""
    result = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    return result.stdout


def test_rows_name_subjects_that_exist_and_take_their_arguments() -> None:
    for subject, arguments in json.loads(run(ROWS)):
        module, _, name = subject.partition(":")
        tree = ast.parse((BENCHMARKS / "subjects" / f"{module}.py").read_text())
        (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
        parameters = {parameter.arg for parameter in (*function.args.args, *function.args.kwonlyargs)}
        assert function.args.kwarg or set(arguments) <= parameters, subject


def test_the_peer_of_the_input_pipeline_is_timed() -> None:
    assert float(run(PEER)) > 0
