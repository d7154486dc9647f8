"""The command line as a process: streams, signals, terminals, start-up."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Spec, process
from tests.waiting import HANG

FRAMEWORKS = {"torch", "keras", "tensorflow", "jax", "onnx", "onnx_ir", "onnxruntime"}
ALEXNET = Path(__file__).parents[2] / "specs" / "alexnet.yaml"


@pytest.mark.parametrize("arguments", [["--help"], ["check", ALEXNET], ["show", ALEXNET], ["ops"]])
def test_start_up_loads_no_framework_and_no_numpy(arguments: list[object]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "netspec", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "netspec" in loaded
    assert not loaded & {*FRAMEWORKS, "rich", "safetensors", "PIL", "numpy"}
    if arguments == ["--help"]:
        assert not loaded & {"pydantic", "yaml"}
    else:
        assert "pydantic" in loaded  # importtime lists indirect imports too


def test_a_check_imports_no_module_that_the_spec_does_not_need(tmp_path: Path) -> None:
    text = "name: small\ninput: {shape: [3, 8, 8]}\nlayers:\n  conv: {op: conv2d, filters: 4, kernel_size: 3}\n"
    recipe = "training: {batch_size: 2, epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}\n"
    optional = {"netspec.recipe": recipe, "netspec.graph.placement": "placement: {towers: 2}\n"}
    for stated in ("", *optional.values()):
        (tmp_path / "small.yaml").write_text(text + stated)
        command = [sys.executable, "-X", "importtime", "-m", "netspec", "check", str(tmp_path / "small.yaml")]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
        assert loaded & set(optional) == {name for name, text in optional.items() if text == stated}
        packages = ("api", "lowering", "passes", "reference", "training", "transfer", "verify", "weights")
        assert not loaded & {f"netspec.{name}" for name in packages}
        assert not loaded & {"difflib", "email.message", "importlib.metadata", "rich", "tempfile", "zipfile"}


@pytest.mark.parametrize("settings", [[], ["--set", "placement.towers=2"]])
def test_a_check_imports_the_ops_that_the_spec_has(small: Path, settings: list[str]) -> None:
    code = f"""
import sys
from netspec.cli.app import run
assert run(["check", {str(small)!r}, *{settings}]) == 0
print(*sorted(name.removeprefix("netspec.ops.") for name in sys.modules if name.startswith("netspec.ops.")))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    without_ops = {"attributes", "axes", "base", "curvature", "initializers"}
    imported = set(result.stdout.splitlines()[1].split()) - without_ops
    assert imported == {"activation", "convolution", "linear", "shape"}


def test_a_check_builds_the_validators_of_the_ops_that_the_spec_has(small: Path) -> None:
    code = f"""
from netspec.cli.app import run
run(["check", {str(small)!r}])
from netspec.ops import OPS
print(*sorted(kind for kind, op in OPS.items() if op.__pydantic_complete__))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1].split() == ["conv2d", "dense", "flatten", "relu"]


def test_metadata_is_imported_on_first_use() -> None:
    code = """
import sys
from netspec.cli.deferred import defer_metadata
defer_metadata()
from importlib.metadata import entry_points
assert "email" not in sys.modules
assert [result.name for result in entry_points(group="netspec.backends", name="torch")] == ["torch"]
assert "email" in sys.modules
import importlib.metadata
assert entry_points is not importlib.metadata.entry_points
assert importlib.metadata is sys.modules["importlib.metadata"]
defer_metadata()  # does nothing once the module is imported
assert importlib.metadata.entry_points.__module__ == "importlib.metadata"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    code = """
from netspec.cli.deferred import defer_metadata
defer_metadata()
import importlib.metadata
try:
    importlib.metadata.version("no-such-distribution")
except importlib.metadata.PackageNotFoundError:
    print("not found")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "not found\n"


def test_importing_netspec_loads_nothing() -> None:
    code = "import netspec, sys; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(result.stdout.split()) & {*FRAMEWORKS, "numpy", "pydantic", "yaml", "click", "rich"}


def test_results_are_on_stdout_and_errors_on_stderr(small: Path, write_spec: Spec) -> None:
    wrong = write_spec("wrong.yaml", **{"kernel_size: 3": "kernel_size: 30"})
    result = process("check", small, wrong)
    assert result.returncode == 2
    assert result.stdout.startswith(f"{small}: ok")
    assert str(wrong) not in result.stdout
    assert str(wrong) in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("package", "command"), [("click", "ops"), ("yaml", "check"), ("pydantic", "check"), ("safetensors", "build")]
)
def test_a_package_that_is_not_installed_is_named(package: str, command: str, small: Path, tmp_path: Path) -> None:
    arguments = {"check": [small], "build": [small, "--backend", "torch", "--out", tmp_path / "out"]}.get(command, [])
    code = f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {[command, *map(str, arguments)]}\n"
    command = [sys.executable, "-c", code + "from netspec.cli import main; main()"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    assert result.returncode == 2
    assert re.match(rf"error: .* needs {package}, not installed here\nhint: `pip install netspec`", result.stderr)


@pytest.mark.parametrize("command", [["check"], ["show"], ["build", "--backend", "torch"], ["train"]])
def test_a_spec_is_not_read_from_standard_input(command: list[str]) -> None:
    result = process(*command, "-")
    assert result.returncode == 2
    assert "-: there is no such file" in result.stderr
    assert "hint: standard input is not read: name a .yaml file" in result.stderr


WAITS = """
import signal, sys, time
from netspec.cli import process

process.TRAINING_GRACE = 0.5
process._delay_sigterm()
signal.signal(signal.SIGTERM, lambda *_: None)  # like training, which stops after the current step
print(flush=True)
time.sleep(float(sys.argv[1]))
"""


def test_a_process_that_waits_within_a_step_reports_it_before_torchrun_kills_it() -> None:
    """Without torchrun the process is not ended."""
    for environment, seconds, ended in (({"TORCHELASTIC_RUN_ID": "1"}, 600, True), ({}, 1.5, False)):
        variables = {key: value for key, value in os.environ.items() if key != "TORCHELASTIC_RUN_ID"}
        running = subprocess.Popen(
            [sys.executable, "-c", WAITS, str(seconds)],
            env=variables | {"RANK": "3"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stdout is not None
        running.stdout.readline()
        running.terminate()
        _, err = running.communicate(timeout=HANG)
        assert ("process 3 was ended while it waited: another one may say why" in err) == ended
        assert running.returncode == (128 + signal.SIGTERM if ended else 0)


BEGINS = """
import os, signal, sys, time
from netspec.cli import process

process.GRACE = 2.0
process._delay_sigterm()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.5)  # until the thread has received it
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # like training, which begins within the grace period
time.sleep(60)
"""


def test_a_training_that_begins_after_sigterm_is_stopped_in_order() -> None:
    result = subprocess.run([sys.executable, "-c", BEGINS], capture_output=True, text=True, timeout=HANG, check=False)
    assert (result.returncode, result.stderr) == (1, "stopped\n")


def test_pytorch_logs_no_warnings_of_its_own_in_a_process_among_several() -> None:
    """It would log each wait that ends, beside the error that tells of it."""
    code = """
import os, sys
from netspec.cli import main
sys.argv[1:] = ["--version"]
try:
    main()
except SystemExit:
    print(os.environ.get("TORCH_CPP_LOG_LEVEL"))
"""
    variables = {key: value for key, value in os.environ.items() if key not in {"TORCH_CPP_LOG_LEVEL", "WORLD_SIZE"}}
    for more, level in (({}, "None"), ({"WORLD_SIZE": "2"}, "ERROR")):
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, env=variables | more, capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == level


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m netspec schema | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("0\n", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(small: Path, tmp_path: Path, closed: str) -> None:
    """Nor do files that the command opens take the descriptor of the closed stream, and receive what is printed."""
    out = tmp_path / "built"
    command = f"{sys.executable} -m netspec build {small} --backend torch --out {out} {closed}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stderr == ""
    compile((out / "torch" / "small.py").read_text(), "small.py", "exec")


def in_terminal(columns: int, *arguments: object, **environment: str) -> str:
    """Return what a command prints on a terminal of this width."""
    ours, theirs = pty.openpty()
    # COLUMNS would override the width of the terminal; xterm has colors.
    settings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"}
    command = f"stty cols {columns} rows 24; exec {sys.executable} -m netspec {' '.join(map(str, arguments))}"
    with subprocess.Popen(
        ["sh", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, env=settings | environment
    ) as running:
        os.close(theirs)
        printed = b""
        try:
            while part := os.read(ours, 65536):
                printed += part
        except OSError:  # Linux raises this when the other end is closed
            pass
        os.close(ours)
    assert running.returncode == 0
    return printed.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("arguments", [["check", "MISSING"], ["--nosuch"]])
def test_an_error_that_cannot_be_printed_keeps_its_exit_code(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "netspec", *arguments]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stdout=subprocess.DEVNULL, stderr=full, check=False).returncode == 2


def test_a_full_disk_under_the_output_is_said() -> None:
    command = [sys.executable, "-m", "netspec", "ops"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        2,
        "error: cannot write to standard output: No space left on device\n",
    )


def test_a_table_fits_80_columns_and_is_whole_in_a_pipe() -> None:
    printed = in_terminal(80, "show", ALEXNET)
    rows = plain(printed).splitlines()[2:]
    assert max(map(len, rows)) <= 80
    assert any("37.8M" in row for row in rows)
    assert "37,752,832" in process("show", ALEXNET).stdout
    assert "\x1b[1mlayer" in printed


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_color_gets_none(environment: dict[str, str]) -> None:
    assert "\x1b" not in in_terminal(80, "check", ALEXNET, **environment)


def test_completion_knows_commands_options_and_backends(tmp_path: Path) -> None:
    def complete(*words: str) -> list[str]:
        environment = os.environ | {
            "_NETSPEC_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["netspec", *words]),
            "COMP_CWORD": str(len(words)),
        }
        return process(env=environment, cwd=tmp_path).stdout.split()

    assert complete("ver") == ["plain,verify"]
    assert complete("build", "x.yaml", "--ba") == ["plain,--backend", "plain,--backends", "plain,--batch-size"]
    assert complete("build", "x.yaml", "--backend", "torch,o") == ["plain,torch,onnx"]
    assert complete("ops", "conv2") == ["plain,conv2d"]
