"""One spec and seed give the same bytes in two processes that order sets and hash strings differently."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from netspec.cli.app import run

SPECS = Path(__file__).parents[1] / "specs"


LOWER = """
import hashlib, sys, netspec
for path in sys.argv[1:]:
    network = netspec.load(path)
    for backend in ("torch", "keras", "onnx"):
        content = network.lower(backend).content
        digest = hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()
        print(path, backend, digest)
"""
LOWERED = [SPECS / "alexnet.yaml", SPECS / "swin.yaml", Path(__file__).parent / "golden" / "branches.yaml"]


def digests(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_builds_are_equal_to_the_byte(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "netspec",
                "build",
                str(SPECS / "lenet5.yaml"),
                "--backend",
                "torch,onnx",
                "--seed",
                "7",
                "--out",
                str(tmp_path / seed),
            ],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
    first = digests(tmp_path / "1")
    assert {Path(name).name for name in first} == {"lenet5.py", "lenet5.onnx", "lenet5.safetensors"}
    assert first == digests(tmp_path / "2")


def test_another_seed_changes_the_weights_and_not_the_source(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        out = str(tmp_path / seed)
        assert run(["build", str(SPECS / "lenet5.yaml"), "--backend", "torch", "--seed", seed, "--out", out]) == 0
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert {name for name in first if first[name] != second[name]} == {
        *("lenet5.safetensors", "torch/lenet5.safetensors")
    }


def test_every_backend_emits_the_same_bytes() -> None:
    found = [
        subprocess.run(
            [sys.executable, "-c", LOWER, *map(str, LOWERED)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(found[0].splitlines()) == 3 * len(LOWERED)
    assert found[0] == found[1]
