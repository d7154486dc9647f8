"""An installed netspec has the files that a checkout has beside the package: the specs and the mappings of weights."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked outside of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "lib")
    return folder / "lib"


def test_specs_and_mappings_are_in_the_wheel(installed: Path) -> None:
    specs, shipped = ROOT / "specs", installed / "netspec" / "specs"
    expected = {path.relative_to(specs) for path in specs.rglob("*.yaml")}
    expected = {path for path in expected if path.parts[0] != "invalid"}  # which are tests
    assert {path.relative_to(shipped) for path in shipped.rglob("*.yaml")} == expected
    assert len(expected) > 40


def test_its_description_is_the_readme(installed: Path) -> None:
    (metadata,) = installed.glob("*.dist-info/METADATA")
    head, _, description = metadata.read_text().partition("\n\n")
    assert "Description-Content-Type: text/markdown" in head
    assert description.strip() == (ROOT / "README.md").read_text().strip()


def test_an_installed_netspec_finds_them(installed: Path) -> None:
    command = [sys.executable, "-m", "netspec", "weights", "list", "--json"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    found = subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, check=True)
    models = {model["model"]: model for model in json.loads(found.stdout)}
    resnet = models["torchvision:resnet50"]
    assert Path(resnet["spec"]) == installed / "netspec" / "specs" / "resnet.yaml"
    assert Path(resnet["mapping"]).is_relative_to(installed)
