"""Kernels and confusion: colors, order of channels, towers, few classes and many."""

import base64
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from netspec.errors import NetspecError
from netspec.graph import Graph, Input, Preprocessing, make_node
from netspec.ops import Conv2d
from netspec.ops.attributes import both
from netspec.testing.networks import NETWORKS, Chain
from netspec.training.report.confusion import confusion_section
from netspec.training.report.kernels import Kernels, first_kernels, kernels_section
from netspec.types import TensorType
from netspec.weights import initialize


def one_convolution(order: str, channels: int) -> Graph:
    preprocessing = Preprocessing.model_validate({"channel_order": order})
    x = Input("x", TensorType.of(channels, 8, 8), preprocessing)
    return Graph("g", (x,), (make_node("conv", Conv2d(filters=2, kernel_size=both(2)), [x]),), ("conv",))


def kernels_of(graph: Graph, weight: np.ndarray | None = None) -> Kernels:
    weights = initialize(graph)
    if weight is not None:
        weights["conv.weight"] = weight.astype(np.float32)
    found = first_kernels(graph, weights)
    assert found is not None
    return found


def images(markup: str) -> list[np.ndarray]:
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', markup)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


@pytest.mark.parametrize(("order", "pure"), [("rgb", (255, 0, 0)), ("bgr", (0, 0, 255))])
def test_the_first_channel_is_the_color_that_the_preprocessing_says(order: str, pure: tuple[int, ...]) -> None:
    weight = np.zeros((2, 3, 2, 2))
    weight[0, 0] = 1.0
    assert kernels_of(one_convolution(order, 3), weight).colors[0, 0, 0].tolist() == list(pure)


def test_each_kernel_is_scaled_to_its_own_range() -> None:
    weight = np.zeros((2, 1, 2, 2))
    weight[0, 0] = [[-100, 0], [50, 100]]
    weight[1, 0] = 0.5  # nothing but one value
    colors = kernels_of(one_convolution("gray", 1), weight).colors
    assert colors[0, :, :, 0].tolist() == [[0, 128], [191, 255]]
    assert (colors[1] == 128).all()
    assert (colors[..., 0] == colors[..., 2]).all()


def test_weights_that_are_not_finite_are_drawn_nonetheless() -> None:
    weight = np.array([[[[np.nan, np.inf], [0, 1]]], [[[-np.inf, 1], [2, 3]]]])
    assert kernels_of(one_convolution("gray", 1), weight).colors[0, :, :, 0].tolist() == [[0, 0], [0, 255]]


def test_other_numbers_of_channels_are_their_mean() -> None:
    weight = np.zeros((2, 5, 2, 2))
    weight[0, :, 0, 0] = [1, 2, 3, 4, 5]
    graph = Chain("g", image=(5, 8, 8)).add("conv", "conv2d", filters=2, kernel_size=2).graph()
    assert kernels_of(graph, weight).colors[0, :, :, 0].tolist() == [[255, 0], [0, 0]]


def test_towers_have_a_picture_each() -> None:
    found = kernels_of(NETWORKS["towers"]())
    assert (found.layer, found.size, found.towers, len(found.colors)) == ("conv1", "5×5×3", 2, 8)
    markup = str(kernels_section(found))
    upper, lower = images(markup)
    assert upper.shape == lower.shape == (5, 4 * 5 + 3, 4)
    assert (upper[:, :5, :3] == found.colors[0]).all()
    assert (lower[:, :5, :3] == found.colors[4]).all()
    assert (upper[:, 5, 3] == 0).all()  # between kernels the page shows
    assert "Tower 2" in markup


def test_towers_are_seen_beyond_a_norm_over_all_channels() -> None:
    chain = (
        Chain("g", image=(3, 9, 9)).add("conv", "conv2d", filters=4, kernel_size=2).add("norm", "layer_norm", axes=[1])
    )
    assert kernels_of(chain.add("conv2", "conv2d", filters=4, kernel_size=1, groups=2).graph()).towers == 2


def test_rows_of_a_dense_layer_that_reads_an_image_are_pictures() -> None:
    graph = Chain("g", image=(1, 4, 3)).add("flat", "flatten").add("fc", "dense", units=5).graph()
    weights = initialize(graph)
    found = first_kernels(graph, weights)
    assert found is not None
    row = weights["fc.weight"][2].reshape(4, 3)
    expected = np.rint(255 * (row - row.min()) / np.ptp(row))
    assert np.abs(found.colors[2, :, :, 0] - expected).max() <= 1
    facts = Chain("g", facts=(12,)).add("fc", "dense", units=5).graph()
    assert first_kernels(facts, initialize(facts)) is None
    assert first_kernels(Chain("g", facts=(12,)).add("act", "relu").graph(), {}) is None


@pytest.mark.parametrize("network", NETWORKS)
def test_any_network_has_kernels_or_none(network: str) -> None:
    graph = NETWORKS[network]()
    found = first_kernels(graph, initialize(graph))
    assert found is None or images(str(kernels_section(found)))


def test_many_large_kernels_are_cut_to_what_a_page_holds() -> None:
    found = Kernels("fc", "", np.zeros((2000, 200, 200, 3), np.uint8), 1)
    markup = str(kernels_section(found))
    (image,) = images(markup)
    assert image.shape[0] * image.shape[1] < 700_000
    assert image.shape[1] <= 1120
    assert "the first 12 are shown" in markup


def test_without_pillow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(NetspecError, match="pip install 'netspec\\[train\\]'"):
        kernels_section(Kernels("conv", "", np.zeros((2, 2, 2, 3), np.uint8), 1))


def test_a_heat_map_has_every_number() -> None:
    confusion = np.array([[8, 2, 0], [0, 10, 0], [0, 0, 0]])
    markup = str(confusion_section(confusion, ["cat", "<b>dog</b>", "bird"]))
    assert "20 validation samples, 90.0 % of them right." in markup
    assert 'title="cat predicted as &lt;b&gt;dog&lt;/b&gt;: 2 of 10"' in markup
    assert re.findall(r'class="recall">([^<]+)<', markup) == ["80 %", "100 %", "–"]
    assert "<b>" not in markup


def test_thirty_classes_are_a_map_and_one_more_is_a_list() -> None:
    names = [f"c{number}" for number in range(31)]
    confusion = np.eye(31, dtype=np.int64) * 50
    confusion[3, 4], confusion[5, 6], confusion[7, 8] = 20, 30, 1
    assert str(confusion_section(confusion[:30, :30], names[:30])).count("<tr>") == 31
    markup = str(confusion_section(confusion, names))
    assert re.findall(r'<th scope="row">(\w+)</th><td>(\w+)</td><td class="number">([^<]+)', markup) == [
        ("c5", "c6", "30 of 80"),
        ("c3", "c4", "20 of 70"),
        ("c7", "c8", "1 of 51"),
    ]


def test_at_most_twenty_pairs_and_perhaps_none() -> None:
    names = [f"c{number}" for number in range(40)]
    assert str(confusion_section(np.ones((40, 40), np.int64), names)).count('scope="row"') == 20
    assert "No class was predicted as another." in str(confusion_section(np.eye(40, dtype=np.int64), names))
    assert "0 validation samples." in str(confusion_section(np.zeros((40, 40), np.int64), names))


def test_a_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(NetspecError, match=r"expected a confusion matrix of 2 classes, received \(3, 3\)"):
        confusion_section(np.zeros((3, 3), np.int64), ["a", "b"])
