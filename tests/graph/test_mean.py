"""A mean image: comparison, printing as a digest, round trip through .npy, and files that hold none."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from pydantic import ValidationError

from netspec.errors import NetspecError
from netspec.graph import Graph, Input, MeanImage, Preprocessing
from netspec.graph.diff import diff_graphs
from netspec.graph.mean import read_npy, write_npy
from netspec.graph.text import print_graph, spec_hash
from netspec.types import TensorType

SHAPE = (3, 4, 5)
NUMBERS = np.random.default_rng(0).uniform(0, 255, SHAPE).astype(np.float32)
IMAGE = MeanImage.of(NUMBERS)


def npy(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def graph_with(mean: object) -> Graph:
    value = Input("input", TensorType.of(*SHAPE), Preprocessing.model_validate({"mean": mean}))
    return Graph("small", (value,), (), ("input",))


def test_it_compares_bit_by_bit() -> None:
    assert IMAGE.array.dtype == np.float32
    np.testing.assert_array_equal(IMAGE.array, NUMBERS)
    IMAGE.array[:] = 0  # an array of the caller's own
    assert MeanImage.of(NUMBERS.copy()) == IMAGE
    assert hash(MeanImage.of(NUMBERS.copy())) == hash(IMAGE)
    assert MeanImage.of(np.nextafter(NUMBERS, np.float32(256))) != IMAGE
    assert MeanImage.of(NUMBERS.reshape(3, 5, 4)) != IMAGE


def test_it_prints_as_a_digest_of_the_numbers() -> None:
    other = NUMBERS.copy()
    other[2, 3, 4] += 1
    assert len(repr(IMAGE)) < 60
    line = print_graph(graph_with(IMAGE)).splitlines()[1]
    assert line == (
        'input: (N, 3, 4, 5) preprocessing={"resize_shorter_side":null,"channel_order":"rgb",'
        f'"mean":"{IMAGE}","scale":1.0,"std":[1.0]}}'
    )
    assert str(IMAGE).startswith("sha256:")
    hashes = {spec_hash(graph_with(m)) for m in (IMAGE, MeanImage.of(other), "per_pixel", "per_channel", [0.0])}
    assert len(hashes) == 5
    (change,) = diff_graphs(graph_with(IMAGE), graph_with("per_pixel")).interface
    assert '"mean":"per_pixel"' in change.after


def test_it_survives_json() -> None:
    preprocessing = Preprocessing(mean=IMAGE)
    stored = json.loads(json.dumps(preprocessing.model_dump(mode="json")))
    assert Preprocessing.model_validate(stored) == preprocessing


@pytest.mark.parametrize(
    "stored",
    [
        {"shape": [3, 4, 5], "data": IMAGE.data[:-4]},
        {"shape": [3, 5, 5], "data": IMAGE.data},
        {"shape": [3, 4, 5], "data": "?" + IMAGE.data[1:]},
        {"shape": [3, 20], "data": IMAGE.data},
        {"shape": [1, 1, 1], "data": "AADAfw=="},  # NaN
        {"image": "mean.npy"},
    ],
)
def test_damaged_data_is_refused(stored: object) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"mean": stored})


def test_a_written_file_is_numpys_and_reads_back() -> None:
    assert write_npy(IMAGE) == npy(NUMBERS)
    assert read_npy(write_npy(IMAGE), SHAPE) == IMAGE


@pytest.mark.parametrize(
    "array",
    [np.asfortranarray(NUMBERS), NUMBERS.astype(">f4")],
    ids=["by column", "big-endian"],
)
def test_any_order_of_elements_and_bytes_is_read(array: np.ndarray) -> None:
    assert read_npy(npy(array), SHAPE) == IMAGE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .npy file"),
        (b"PK\x03\x04" + bytes(100), "not a .npy file"),
        (npy(NUMBERS)[:50], "not a .npy file"),
        (npy(NUMBERS).replace(b"(3, 4, 5)", b"((((((((("), "not a .npy file"),
        (npy(NUMBERS).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"), "not a .npy file"),
        (npy(NUMBERS)[:-1], "cut short: expected 240 bytes of numbers, found 239"),
        (npy(NUMBERS.astype(np.float64)), "expected float32, received float64"),
        (npy(NUMBERS.astype(np.uint8)), "expected float32, received uint8"),
        (npy(NUMBERS.mean(axis=0)), r"expected the input's shape \(3, 4, 5\), received \(4, 5\)"),
        (npy(np.where(NUMBERS > 250, np.inf, NUMBERS).astype(np.float32)), "holds NaN or infinite"),
    ],
)
def test_files_without_a_mean_image_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(NetspecError, match=message):
        read_npy(content, SHAPE)


def test_nothing_is_unpickled() -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("a pickle was loaded",)

    content = npy(np.array([Harmful()], object), allow_pickle=True)
    with pytest.raises(NetspecError, match="holds pickled Python objects"):
        read_npy(content, (1,))


def test_a_header_that_promises_terabytes_takes_no_memory() -> None:
    content = npy(NUMBERS).replace(b"(3, 4, 5), }         ", b"(3, 400000000000, 5)}")
    with pytest.raises(NetspecError, match="received"):
        read_npy(content, SHAPE)
