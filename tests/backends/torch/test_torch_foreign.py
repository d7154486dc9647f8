"""Files of `torch.save`: common layouts are read; files that would run code or are damaged raise one error."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netspec.errors import WeightsError
from netspec.lowering import ForeignWeights, find_backend
from netspec.transfer import read_weights

BACKEND = find_backend("torch")


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


STATE = _net().state_dict()


def _read(path: Path, content: Any, **options: Any) -> ForeignWeights:
    torch.save(content, path, **options)
    return read_weights(path)


def _error(path: Path, content: Any = None, under: str = "") -> str:
    """Return the error of reading a file, after writing the content to it."""
    if content is not None:
        torch.save(content, path)
    with pytest.raises(WeightsError) as caught:
        BACKEND.read_weights(path, under)
    assert caught.value.message.startswith(str(path))
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def _require_state(found: ForeignWeights) -> None:
    assert list(found.arrays) == list(STATE)
    for name, tensor in STATE.items():
        np.testing.assert_array_equal(found.arrays[name], tensor.numpy(), strict=True)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["net.pth", "net.bin"])
def test_a_state_dict_in_either_format(tmp_path: Path, zipped: bool, name: str) -> None:
    found = _read(tmp_path / name, STATE, _use_new_zipfile_serialization=zipped)
    _require_state(found)
    assert found.notes == ()


def test_a_checkpoint_is_unwrapped_and_its_other_content_is_noted(tmp_path: Path) -> None:
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.ones(1, 3, 6, 6)).sum().backward()
    optimizer.step()  # fills the optimizer's state: a velocity for each weight
    content = {"epoch": 3, "state_dict": STATE, "best": torch.tensor(0.5), "optimizer": optimizer.state_dict()}
    found = _read(tmp_path / "net.pth.tar", content)
    _require_state(found)
    assert found.notes == (
        "only the weights under state_dict are read",
        "not read: epoch (int), best (Tensor), optimizer (dict)",
    )
    _require_state(_read(tmp_path / "net.pt", {"model": {"weights": STATE}, "args": {"lr": 0.1}}))


def test_a_checkpoint_of_several_weights_and_of_the_arguments_that_made_it(tmp_path: Path) -> None:
    averaged = {name: tensor + 1 for name, tensor in STATE.items()}
    path = tmp_path / "model_best.pth.tar"  # as timm's train.py writes it
    content = {"epoch": 3, "args": argparse.Namespace(lr=0.1, opt="sgd"), "metric": np.float64(71.5), "n": np.int64(2)}
    torch.save(content | {"state_dict": STATE, "state_dict_ema": averaged}, path)
    assert "weights 2 times, under state_dict, state_dict_ema" in _error(path)
    _require_state(BACKEND.read_weights(path, "state_dict"))
    found = BACKEND.read_weights(path, "state_dict_ema")
    assert found.notes == (
        "only the weights under state_dict_ema are read",
        "not read: epoch (int), args (Namespace), metric (float64), n (int64), state_dict (OrderedDict)",
    )
    np.testing.assert_array_equal(found.arrays["0.bias"], STATE["0.bias"].numpy() + 1)
    with pytest.raises(WeightsError, match=r"no weights under 'ema' in it; they are under state_dict, state_dict_ema"):
        BACKEND.read_weights(path, "ema")
    torch.save(STATE, path)
    with pytest.raises(WeightsError, match=r"no weights under 'model' in it; they are under no key"):
        BACKEND.read_weights(path, "model")


def test_a_part_of_a_state_dict_by_the_beginning_of_its_names(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"  # as written by Lightning for a module with a network and a loss
    state = {f"net.{name}": tensor for name, tensor in STATE.items()}
    torch.save({"state_dict": state | {"loss.weight": torch.ones(2)}, "epoch": 3}, path)
    for under in ("net", "state_dict.net"):
        found = BACKEND.read_weights(path, under)
        _require_state(found)
        assert found.notes == (
            "only the weights under state_dict.net are read",
            "not read: loss.weight, epoch (int)",
        )
    assert "no weights under 'ne' in it; they are under state_dict" in _error(path, under="ne")
    torch.save({"state_dict": state, "ema": state}, path)
    assert "weights 2 times, under state_dict.net, ema.net" in _error(path, under="net")
    _require_state(BACKEND.read_weights(path, "ema.net"))
    torch.save(state, path)
    _require_state(BACKEND.read_weights(path, "net"))


def test_control_characters_in_names_are_escaped(tmp_path: Path) -> None:
    found = _read(tmp_path / "net.pth", {"state_dict": STATE, "\x1b[2K": 3})
    assert found.notes[1] == "not read: \\x1b[2K (int)"
    error = _error(tmp_path / "net.pth", {"state_dict": STATE, "\x1b[2K\n": STATE})
    assert "under state_dict, \\x1b[2K\\n; expected" in error


def test_prefixes_of_wrappers_are_removed(tmp_path: Path) -> None:
    found = _read(tmp_path / "net.pth", nn.DataParallel(_net()).state_dict())
    _require_state(found)
    assert found.notes == ("'module.', which DataParallel puts before every name, is taken off",)
    averaged = torch.optim.swa_utils.AveragedModel(_net()).state_dict()
    assert "n_averaged" in averaged
    found = _read(tmp_path / "net.pth", {"model_ema": averaged})
    _require_state(found)
    assert "n_averaged, the number of averaged models, is left out" in found.notes
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert list(_read(tmp_path / "net.pth", mixed).arrays) == ["module.a", "b"]


def test_narrow_floating_point_is_widened_and_integers_stay(tmp_path: Path) -> None:
    values = torch.tensor([1.5, -2.0, 0.0078125])
    kinds = (torch.float16, torch.bfloat16, torch.float8_e5m2)
    found = _read(tmp_path / "net.pth", {str(k): values.to(k) for k in kinds} | {"n": torch.tensor(3)})
    for kind in kinds:
        np.testing.assert_array_equal(found.arrays[str(kind)], values.numpy(), strict=True)
    assert found.arrays["n"].dtype == np.int64


def test_views_are_read_with_their_strides(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    found = _read(tmp_path / "net.pth", {"a": base.T, "b": base[1:, ::2], "c": nn.Parameter(base)})
    np.testing.assert_array_equal(found.arrays["a"], base.T.numpy())
    np.testing.assert_array_equal(found.arrays["b"], [[4, 6], [8, 10]])
    np.testing.assert_array_equal(found.arrays["c"], base.numpy())


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, zipped: bool) -> None:
    mark, path = tmp_path / "ran", tmp_path / "net.pth"
    torch.save({"a": torch.ones(1), "b": _Hostile(mark)}, path, _use_new_zipfile_serialization=zipped)
    error = _error(path)
    assert "it holds posix.system, which is read by running code" in error
    assert "torch.save(model.state_dict()" in error
    path.write_bytes(pickle.dumps(_Hostile(mark)))
    _error(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Hostile(mark)))  # noqa: S301 # proves that the pickle runs code
    assert mark.exists()


def test_whole_modules_and_programs_are_refused(tmp_path: Path) -> None:
    assert "it holds torch.nn.modules.container.Sequential, which" in _error(tmp_path / "net.pth", _net())
    torch.save(STATE, tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt", "a") as archive:
        archive.writestr("net/constants.pkl", b"")  # torch recognizes a TorchScript archive by this file
    assert "a TorchScript archive, which is a program" in _error(tmp_path / "net.pt")


def test_content_that_is_not_a_state_dict_is_described(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    assert "received a list" in _error(path, [torch.ones(1)])
    assert "received a Tensor" in _error(path, torch.ones(1))
    assert "it is empty" in _error(path, {})
    assert "only tensors by name; received 1 (Tensor)" in _error(path, {1: torch.ones(1), "a": torch.ones(1)})
    assert "only tensors by name; received epoch (int), name (str)" in _error(
        path, {"a": torch.ones(1), "epoch": 3, "name": "x"}
    )
    error = _error(path, {"state_dict": STATE, "ema": {"state_dict": STATE}})
    assert "weights 2 times, under state_dict, ema.state_dict" in error
    assert "--under ema.state_dict" in error


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")  # such files exist, though it is deprecated
def test_tensors_that_are_not_plain_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    assert "w is a sparse tensor" in _error(path, {"w": torch.eye(3).to_sparse()})
    assert "w is complex" in _error(path, {"w": torch.ones(2, dtype=torch.complex64)})
    assert "w is quantized" in _error(path, {"w": torch._empty_affine_quantized([2], scale=0.1, dtype=torch.qint8)})
    assert "w is on the meta device" in _error(path, {"w": torch.ones(2, device="meta")})


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    assert "claims to hold 400,000,000,000 bytes" in _error(path, {"w": torch.ones(1).expand(10**11)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(2**27))
    assert "claims to hold" in _error(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_every_damage_is_one_error(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "net.pth"
    torch.save(
        {"a": torch.ones(40), "b": torch.zeros(3, dtype=torch.int64)}, path, _use_new_zipfile_serialization=zipped
    )
    whole = path.read_bytes()
    for length in range(1, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        _error(path)
    draw = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in draw.integers(0, len(whole), 4):
            damaged[place] = draw.integers(256)
        path.write_bytes(damaged)
        try:
            BACKEND.read_weights(path)
        except WeightsError as error:
            assert str(path) in error.message  # noqa: PT017 # damage that only changes a number goes unnoticed
    for content in (b"\x80\x04.", b"PK\x03\x04" + bytes(100), os.urandom(1000)):
        path.write_bytes(content)
        _error(path)
