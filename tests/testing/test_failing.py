"""A failing property, of a backend with a planted fault: the saved spec is small, and fails in `verify` too."""

from pathlib import Path

import pytest
import yaml

from netspec.lowering import find_backend
from netspec.ops import Conv2d
from netspec.spec import load_graph
from netspec.testing.changes import each, flipped
from netspec.testing.faults import Fault, FaultyBackend
from netspec.verify import verify
from tests import forked

ROOT = Path(__file__).parents[2]
FLIPPED = Fault("kernels turned around", Conv2d, weights=each(flipped, "weight", Conv2d))
PROPERTY = """
from hypothesis import Phase, given, settings

from netspec.lowering import find_backend
from netspec.spec import load_graph
from netspec.testing.drawn.failing import show
from netspec.testing.faults import FaultyBackend
from netspec.testing.drawn.strategies import specs
from netspec.types import DType
from tests.properties.test_backends_agree import check_forward
from tests.testing.test_failing import FLIPPED

PHASES = (Phase.generate, *([Phase.shrink] if SHRUNK else []))


def test_agrees(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "drawn.yaml"

    def load(text):
        path.write_text(text)
        return load_graph(path)

    @settings(derandomize=True, deadline=None, database=None, phases=PHASES)
    @given(drawn=specs())
    def agrees(drawn):
        check_forward(drawn, load, FaultyBackend(find_backend("torch"), FLIPPED), DType.FLOAT64)

    agrees()
"""


def run(folder: Path, *options: str, shrunk: bool = True) -> str:
    """Run the property with pytest, and return what it prints."""
    (folder / "test_planted.py").write_text(f"SHRUNK = {shrunk}\n{PROPERTY}")
    command = ["-m", "pytest", "-p", "netspec.testing.drawn.failing", "-p", "no:cacheprovider", "-c"]
    command += [str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", str(folder / "test_planted.py"), *options]
    done = forked.run(command)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return done.stdout


def test_a_failure_leaves_a_minimal_spec(tmp_path: Path) -> None:
    saved_in = tmp_path / "specs"
    output = run(tmp_path, "--save-failing-specs", str(saved_in))
    (path,) = saved_in.glob("failing-*.yaml")
    text = path.read_text()
    comment, _, spec = text.partition("\n")
    assert f"saved as {path}" in output
    assert spec in output
    assert comment.endswith("::test_agrees")
    document = yaml.safe_load(text)
    assert [layer["op"] for layer in document["layers"].values()] == ["conv2d"]
    assert set(document) <= {"name", "input", "layers"}
    assert len(spec.splitlines()) == 4
    graph = load_graph(path)
    torch, onnx = find_backend("torch"), find_backend("onnx")
    assert verify(graph, [torch, onnx], "forward").passed
    report = verify(graph, [FaultyBackend(torch, FLIPPED), onnx], "forward")
    assert {c.backend for c in report.comparisons if not c.passed} == {"torch with kernels turned around"}


def test_without_the_option_it_is_printed_alone(tmp_path: Path) -> None:
    output = run(tmp_path, shrunk=False)  # which takes most of the time
    assert "--save-failing-specs FOLDER saves it" in output
    assert "op: conv2d" in output
    assert not list(tmp_path.glob("**/failing-*"))
