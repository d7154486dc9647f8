"""The mean and the components of a training set: correct, the same with any number of threads, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.training.data import statistics
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.statistics import Statistics, statistics_of


class Noise(Dataset):
    """Images of random colors with correlated channels. Counts the images that are read."""

    def __init__(self, samples: int = 150, bad: tuple[int, ...] = (), fingerprint: str = "f") -> None:
        self.origin, self.classes, self.labels, self.fingerprint = (
            "noise",
            ("a",),
            np.zeros(samples, np.int64),
            fingerprint,
        )
        values = np.random.default_rng(0).integers(0, 100, (samples, 7, 9, 3))
        self.pixels = (values + values[..., :1]).astype(np.uint8)
        self.bad, self.reads = bad, []

    def read(self, index: int) -> NDArray[Any]:
        self.reads.append(index)
        if index in self.bad:
            raise BadSampleError(f"row {index}")
        return self.pixels[index]

    def describe(self, index: int) -> str:
        return f"row {index}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "netspec" / "statistics"


def same(a: Statistics, b: Statistics) -> bool:
    pairs = [(a.mean_channel, b.mean_channel), (a.mean_image, b.mean_image)]
    pairs += [(getattr(a.components, name), getattr(b.components, name)) for name in ("mean", "values", "vectors")]
    return all(np.array_equal(x, y) for x, y in pairs)


def test_statistics_are_those_of_all_pixels_in_the_center() -> None:
    dataset = Noise()
    found = statistics_of(dataset, Preprocessing(), 4, 5)
    crops = dataset.pixels[:, 1:5, 2:7].astype(np.float64)
    np.testing.assert_allclose(found.mean_image, crops.mean(axis=0).transpose(2, 0, 1), rtol=1e-12)
    np.testing.assert_allclose(found.mean_channel, crops.mean(axis=(0, 1, 2)), rtol=1e-12)
    components = found.components
    assert (np.diff(components.values) < 0).all()
    covariance = np.cov(crops.reshape(-1, 3).T, bias=True)
    np.testing.assert_allclose(components.vectors @ np.diag(components.values) @ components.vectors.T, covariance)
    np.testing.assert_allclose(components.vectors.T @ components.vectors, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(components.deviations @ components.deviations.T, covariance)


def test_the_largest_entry_of_a_component_is_positive() -> None:
    vectors = statistics_of(Noise(), Preprocessing(), 4, 5).components.vectors
    assert (vectors[np.abs(vectors).argmax(axis=0), [0, 1, 2]] > 0).all()


def test_threads_do_not_matter_to_the_bit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 7)
    monkeypatch.setattr(statistics, "available_threads", lambda: 1)
    one = statistics_of(Noise(), Preprocessing(), 4, 5)
    next(cache.iterdir()).unlink()
    monkeypatch.setattr(statistics, "available_threads", lambda: 3)
    assert same(one, statistics_of(Noise(), Preprocessing(), 4, 5))


def test_channels_are_in_the_networks_order() -> None:
    rgb = statistics_of(Noise(), Preprocessing(), 4, 5)
    bgr = statistics_of(Noise(), Preprocessing(channel_order="bgr"), 4, 5)
    np.testing.assert_array_equal(bgr.mean_image, rgb.mean_image[::-1])
    np.testing.assert_allclose(bgr.components.vectors, rgb.components.vectors[::-1], rtol=1e-9)
    gray = statistics_of(Noise(), Preprocessing(channel_order="gray"), 4, 5)
    assert gray.mean_image.shape == (1, 4, 5)
    np.testing.assert_array_equal(gray.components.vectors, [[1.0]])


def test_images_of_one_color_vary_along_nothing() -> None:
    dataset = Noise()
    dataset.pixels[:] = 200
    found = statistics_of(dataset, Preprocessing(), 4, 5)
    np.testing.assert_array_equal(found.mean_channel, [200.0] * 3)
    np.testing.assert_allclose(found.components.values, 0, atol=1e-9)
    assert np.isfinite(found.components.deviations).all()


def test_statistics_are_cached() -> None:
    first = statistics_of(Noise(), Preprocessing(), 4, 5)
    again = Noise()
    assert same(first, statistics_of(again, Preprocessing(), 4, 5))
    assert not again.reads


@pytest.mark.parametrize(
    ("fingerprint", "preprocessing", "size"),
    [
        ("other", Preprocessing(), (4, 5)),
        ("f", Preprocessing(resize_shorter_side=6), (4, 5)),
        ("f", Preprocessing(channel_order="bgr"), (4, 5)),
        ("f", Preprocessing(), (5, 4)),
    ],
)
def test_other_statistics_are_computed_again(
    fingerprint: str, preprocessing: Preprocessing, size: tuple[int, int]
) -> None:
    statistics_of(Noise(), Preprocessing(), 4, 5)
    other = Noise(fingerprint=fingerprint)
    statistics_of(other, preprocessing, *size)
    assert other.reads


def test_mean_and_scale_make_no_difference() -> None:
    statistics_of(Noise(), Preprocessing(), 4, 5)
    other = Noise()
    statistics_of(other, Preprocessing(mean=(1.0,), scale=2.0, std=(3.0,)), 4, 5)
    assert not other.reads


def damage(content: bytes, kind: str) -> bytes:
    middle = len(content) // 2
    if kind == "a bit":
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return {"cut short": content[:middle], "empty": b"", "another file": b"text" * 99}[kind]


@pytest.mark.parametrize("kind", ["cut short", "empty", "another file", "a bit"])
def test_a_damaged_cache_is_computed_anew(kind: str, cache: Path) -> None:
    first = statistics_of(Noise(), Preprocessing(), 4, 5)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole, kind))
    again = Noise()
    assert same(first, statistics_of(again, Preprocessing(), 4, 5))
    assert again.reads
    assert path.read_bytes()[:64] == whole[:64]  # and mended


@pytest.mark.parametrize("arrays", [{}, {"mean": np.zeros(3)}, {"mean_image": np.array([{}], object)}])
def test_a_cache_of_other_arrays_is_computed_anew(arrays: dict[str, Any], cache: Path) -> None:
    first = statistics_of(Noise(), Preprocessing(), 4, 5)
    (path,) = cache.iterdir()
    np.savez(path, **arrays)
    assert same(first, statistics_of(Noise(), Preprocessing(), 4, 5))


def test_a_cache_that_is_not_finite_is_computed_anew(cache: Path) -> None:
    first = statistics_of(Noise(), Preprocessing(), 4, 5)
    (path,) = cache.iterdir()
    with np.load(path) as file:
        np.savez(path, **{**file, "values": np.full(3, np.nan)})
    assert same(first, statistics_of(Noise(), Preprocessing(), 4, 5))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert statistics_of(Noise(), Preprocessing(), 4, 5).mean_image.shape == (3, 4, 5)


def test_without_a_cache_home_it_is_in_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative, and so to be ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    statistics_of(Noise(), Preprocessing(), 4, 5)
    assert list((tmp_path / ".cache" / "netspec" / "statistics").glob("*.npz"))


def test_bad_images_are_skipped() -> None:
    dataset = Noise(10, bad=(2, 9))
    found = statistics_of(dataset, Preprocessing(), 4, 5)
    good = np.delete(dataset.pixels, [2, 9], axis=0)[:, 1:5, 2:7]
    np.testing.assert_allclose(found.mean_channel, good.mean(axis=(0, 1, 2)))


def test_without_any_image_there_is_no_mean() -> None:
    with pytest.raises(NetspecError, match="noise: none of 3 images can be used"):
        statistics_of(Noise(3, bad=(0, 1, 2)), Preprocessing(), 4, 5)


def test_of_a_large_set_evenly_spaced_images_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_IMAGES", 4)
    dataset, messages = Noise(150), []
    statistics_of(dataset, Preprocessing(), 4, 5, messages.append)
    assert sorted(dataset.reads) == [0, 37, 75, 112]
    assert messages == ["statistics of noise: 4 of 4 images"]
