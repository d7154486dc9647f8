"""The class whose logit is a constant: LeCun's rubbish class, and the sigmoid of a network with one logit."""

from pathlib import Path

import numpy as np
import pytest

from netspec.cli.app import run as command
from netspec.errors import NetspecError
from netspec.graph import Graph
from netspec.graph.training import classes_of, training_graph
from netspec.lowering import Batch, StepResult, TrainerSettings, find_backend
from netspec.recipe import Recipe
from netspec.spec import elaborate, read_spec
from netspec.testing.networks import Chain
from netspec.training.data.sources import open_data
from netspec.training.evaluate import disagreements, evaluate
from netspec.types import DType
from netspec.verify import verify
from netspec.weights import load_weights
from tests.training.conftest import Recorder, Run

BACKENDS = ["torch", "keras"]


def scores(units: int) -> Graph:
    return Chain("scores", x=(6,)).add("fc", "dense", units=units).graph()


def recipe(constant_logit: float, **loss: object) -> Recipe:
    fields = {"name": "softmax_cross_entropy", "constant_logit": constant_logit} | loss
    optimizer = {"name": "sgd", "learning_rate": 0.1}
    return Recipe.model_validate({"batch_size": 8, "steps": 1, "loss": fields, "optimizer": optimizer})


def step(backend: str, units: int, labels: list[int], constant: float, **loss: object) -> tuple[np.ndarray, StepResult]:
    """The logits of the network itself, and a step on its loss, in float64."""
    random, rules = np.random.default_rng(0), recipe(constant, **loss)
    weights = {"fc.weight": random.standard_normal((units, 6)), "fc.bias": random.standard_normal(units)}
    x = random.standard_normal((len(labels), 6))
    graph = training_graph(scores(units), constant).astype(DType.FLOAT64)
    trainer = find_backend(backend).trainer(graph, weights, TrainerSettings(rules, None, "cpu"))
    batch = Batch(x, np.array(labels), np.arange(len(labels)))
    return x @ weights["fc.weight"].T + weights["fc.bias"], trainer.step(
        [batch], 0.0, len(labels), 0, keep_gradients=True
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_a_constant_it_is_the_criterion_of_1998(backend: str) -> None:
    """Equation 9: E = y_D + log(e^-j + Σ e^-y_i), where y are the distances, whose negatives are the logits."""
    labels, j = [0, 2, 1, 2], 1.5
    logits, result = step(backend, 3, labels, -j)
    distances = -logits
    of_label = distances[np.arange(4), labels]
    criterion = of_label + np.log(np.exp(-j) + np.exp(-distances).sum(axis=1))
    assert result.loss == pytest.approx(criterion.mean(), rel=1e-12)
    assert result.wrong == sum(max(row) < -j or row.argmax() != d for row, d in zip(logits, labels, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_of_one_logit_it_is_the_sigmoid(backend: str, smoothing: float) -> None:
    """Class 0 has the probability sigmoid(z), class 1 the rest; smoothing moves both targets towards a half."""
    labels = [0, 1, 1, 0, 1]
    logits, result = step(backend, 1, labels, 0.0, label_smoothing=smoothing)
    z, target = logits[:, 0], np.where(np.array(labels) == 0, 1 - smoothing / 2, smoothing / 2)
    loss = np.logaddexp(0, z) - target * z
    assert result.loss == pytest.approx(loss.mean(), rel=1e-12)
    assert result.wrong == ((z < 0) != labels).sum()
    assert result.gradients is not None
    slope = (1 / (1 + np.exp(-z)) - target).mean()
    np.testing.assert_allclose(result.gradients["fc.bias"], [slope], rtol=1e-12)


TWO = """\
name: two
input: {shape: [64]}
layers:
  fc1: {op: dense, units: 16, initialize: {weight: {variance_scaling: {}}}}
  tanh: {op: tanh}
  fc2: {op: dense, units: 1}
training:
  batch_size: 20
  epochs: 8
  loss: {name: softmax_cross_entropy, constant_logit: 0}
  optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A network of one logit."""
    path = tmp_path / "two.yaml"
    path.write_text(TWO)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """400 samples of 64 features in two separable classes."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    features = (random.standard_normal((400, 64)) + labels[:, None]).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=features, y=labels)
    return tmp_path / "data.npz"


def test_a_network_of_one_logit_tells_two_classes_apart(run: Run, spec: Path, data: Path, tmp_path: Path) -> None:
    """It is scored as a network of two classes, by training, by every backend, and from its .onnx."""
    recorders = {name: Recorder() for name in BACKENDS}
    outcomes = {name: run(name, name=name, observer=recorder) for name, recorder in recorders.items()}
    assert [e.loss for e in recorders["torch"].steps] == pytest.approx(
        [e.loss for e in recorders["keras"].steps], rel=1e-5
    )
    found, folder = outcomes["torch"].scores, outcomes["torch"].folder
    assert found is not None
    assert folder is not None
    assert found.error < 0.05
    assert found.confusion.shape == (2, 2)
    assert found.confusion.sum(axis=1).all()
    network, held = read_spec(spec, ()), open_data(str(data), seed=0, holdout=0.2).validation
    assert held is not None
    saved = tmp_path / "built"
    command(["build", str(spec), "--backend", "onnx", "--weights", str(folder.last), "--out", str(saved)])
    each = [
        evaluate(elaborate(network), weights, [find_backend(name) for name in names], held, recipe=network.training)
        for weights, names in ((folder.last, ("torch", "keras", "onnx")), (saved / "onnx" / "two.onnx", ("onnx",)))
    ]
    assert not disagreements([row for rows in each for row in rows])
    assert each[0][0].scores.loss == pytest.approx(found.loss, rel=1e-5)
    assert load_weights(folder.last, elaborate(network))["fc2.weight"].shape == (1, 16)


def test_probabilities_do_not_tell_what_the_constant_stands_beside(
    run: Run, spec: Path, data: Path, tmp_path: Path
) -> None:
    spec.write_text(TWO.replace("units: 1}", "units: 2}\n  prob: {op: softmax}"))
    folder = run(settings=("training.epochs=1",)).folder
    assert folder is not None
    command(["build", str(spec), "--backend", "onnx", "--weights", str(folder.last), "--out", str(tmp_path / "built")])
    network, file = read_spec(spec, ()), tmp_path / "built" / "onnx" / "two.onnx"
    held = open_data(str(data), seed=0, holdout=0.2).training
    with pytest.raises(NetspecError, match=r"two\.onnx: gives probabilities, and constant_logit of the recipe stands"):
        evaluate(elaborate(network), file, [find_backend("onnx")], held, recipe=network.training)


def test_it_is_one_more_class_of_each_pixel_and_head() -> None:
    chain = Chain("maps", image=(1, 8, 8)).add("conv", "conv2d", filters=1, kernel_size=3)
    graph = training_graph(chain.add("prob", "sigmoid").graph("conv"), -2.0).check()
    assert (graph.outputs, classes_of(graph)) == (("constant_logit",), 2)
    report = verify(chain.graph("conv"), [find_backend(name) for name in BACKENDS], "training", recipe=recipe(0.0))
    assert report.passed


def test_labels_beyond_it_are_refused() -> None:
    with pytest.raises(NetspecError, match="expected labels 0 to 3, received 4"):
        step("torch", 3, [0, 4], 0.0)
