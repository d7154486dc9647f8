"""Interrupts of a command, wherever they arrive: one line on stderr, and exit code 130."""

import signal
from pathlib import Path

import pytest

from tests.cli.conftest import interruptible
from tests.waiting import HANG


def test_an_interrupt_ends_in_one_line_and_130(small: Path, tmp_path: Path) -> None:
    layers = "".join(f"  layer{i}: {{op: relu}}\n" for i in range(100_000))
    long = tmp_path / "long.yaml"
    long.write_text(f"name: long\ninput: {{shape: [3, 4, 4]}}\nlayers:\n{layers}")
    with interruptible("-m", "netspec", "check", small, long) as running:
        assert running.stdout is not None
        running.stdout.readline()  # the first spec is done; the second is being checked
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=HANG)
    assert (running.returncode, err) == (130, "error: interrupted\n")


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupt_during_an_import_ends_in_one_line_and_130(tmp_path: Path, begun: bool) -> None:
    """During the first imports, and in a compiled module, whose interrupted import raises ImportError instead."""
    module = tmp_path / ("netspec_interrupted.py" if begun else "click.py")
    module.write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt:\n"
        + ("    raise ImportError(\"cannot import name 'dtype' from 'numpy'\")\n" if begun else "    raise\n")
    )
    code = "import netspec.cli.ops as ops, importlib\n"
    code += "ops.command.callback = lambda **_: importlib.import_module('netspec_interrupted')\n" if begun else ""
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['ops']\n{code if begun else ''}"
    code += "from netspec.cli import main; main()"
    with interruptible("-c", code) as running:
        _, err = running.communicate(timeout=HANG)
    assert (running.returncode, err) == (130, "error: interrupted\n")


IN_A_FINALIZER = """
class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def callback(**_):
    Finalized()
    time.sleep(600)
    print("went on")
"""
SWALLOWED = """
def callback(**_):
    with progress() as say:
        with suppress(BaseException):  # like a library for which a module is optional
            signal.raise_signal(signal.SIGINT)
        say("the next stage")
    print("went on")
"""


INTERRUPTED_MODULE = """
import signal, time
def called_by_native_code():
    signal.raise_signal(signal.SIGINT)
    __import__("pathlib").Path(__file__).with_suffix(".returned").touch()
called_by_native_code()
for _ in range(2000):
    time.sleep(0.01)
"""


def test_an_interrupt_waits_for_a_function_that_is_called_during_an_import(tmp_path: Path) -> None:
    """Native code that called it would end the process without a word if it raised: PyTorch's does."""
    (tmp_path / "netspec_interrupted.py").write_text(INTERRUPTED_MODULE)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['ops']\nimport netspec.cli.ops as ops\n"
    code += "ops.command.callback = lambda **_: __import__('netspec_interrupted')\n"
    code += "from netspec.cli import main; main()"
    with interruptible("-c", code) as running:
        out, err = running.communicate(timeout=HANG)
    assert (running.returncode, out, err) == (130, "", "error: interrupted\n")
    assert (tmp_path / "netspec_interrupted.returned").exists()


SWALLOWED_AND_SENT_AGAIN = """
from netspec.cli import interrupts
interrupts.RESEND_DELAY = 0.5
def callback(**_):
    import atexit
    atexit.register(time.sleep, 1)
    with progress() as say:
        interrupts._received.append(signal.SIGINT)
        interrupts._send_again(signal.SIGINT)
        say("the next stage")
"""


@pytest.mark.parametrize("callback", [IN_A_FINALIZER, SWALLOWED, SWALLOWED_AND_SENT_AGAIN])
def test_an_interrupt_that_python_or_a_library_drops_ends_the_command(callback: str) -> None:
    code = "import signal, sys, time\nfrom contextlib import suppress\nimport netspec.cli.ops as ops\n"
    code += f"from netspec.cli.console import progress\n{callback}\nops.command.callback = callback\n"
    code += "sys.argv[1:] = ['ops']\nfrom netspec.cli import main; main()"
    with interruptible("-c", code) as running:
        out, err = running.communicate(timeout=HANG)
    assert (running.returncode, out, err) == (130, "", "error: interrupted\n")


STOPPED_WHILE_WRITING = """
import signal, sys
import netspec.weights as weights, netspec.training.data.prepare as prepare
number = int(sys.argv.pop(1))
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
def stop(*_):
    signal.raise_signal(number)
    print("went on")
weights.write_whole = prepare.write_whole = stop  # in the middle of what is to be written whole
from netspec.cli import main; main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["build", "prepare"])
def test_a_command_that_is_stopped_removes_what_it_has_begun(
    small: Path, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    out = tmp_path / "new" / "out"
    arguments = {
        "build": ["build", small, "--backend", "torch", "--out", out],
        "prepare": ["data", "prepare", "digits", out],
    }
    with interruptible("-c", STOPPED_WHILE_WRITING, int(number), *arguments[command]) as running:
        printed, err = running.communicate(timeout=HANG)
    reason = "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"
    assert (running.returncode, printed) == (128 + number, "")
    assert err.splitlines()[-1] == f"error: {reason}"
    assert not out.parent.exists()
