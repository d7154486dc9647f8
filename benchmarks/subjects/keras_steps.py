"""Training steps of AlexNet in Keras on TensorFlow: by hand, tuned by hand, and by netspec."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from peers.alexnet_keras import alexnet, tuned_alexnet

from netspec.graph.training import training_graph
from netspec.lowering import Batch, TrainerSettings, at_level, find_backend
from netspec.recipe import Recipe, Sgd
from subjects.networks import load, pixels, weights_of
from subjects.torch_steps import RULE


def hand_training(batch: int) -> Callable[[], None]:
    """A call of `train_on_batch` of a compiled model."""
    model = alexnet()
    rate, momentum = RULE["learning_rate"], RULE["momentum"]
    model.compile(keras.optimizers.SGD(rate, momentum), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, labels = _images(batch), np.zeros(batch, np.int64)

    def step() -> None:
        model.train_on_batch(x, labels)

    return step


def tuned_training(batch: int) -> Callable[[], None]:
    """A `tf.function` over operations of TensorFlow and its fused momentum update, with weight decay."""
    weights = {f"{layer.name}/{v.name}": tf.Variable(v.value) for layer in alexnet().layers for v in layer.weights}
    velocities = {name: tf.Variable(tf.zeros_like(variable)) for name, variable in weights.items()}
    forward = tuned_alexnet(weights)
    variables = list(weights.values())

    @tf.function
    def step(x: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, forward(x, True))
            loss = tf.reduce_mean(losses)
        for (name, variable), gradient in zip(weights.items(), tape.gradient(loss, variables), strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle,
                accum=velocities[name].handle,
                lr=RULE["learning_rate"],
                grad=gradient + RULE["weight_decay"] * variable,
                momentum=RULE["momentum"],
            )
        return loss

    x, labels = tf.constant(_images(batch)), tf.zeros(batch, tf.int64)

    def step_and_read_loss() -> None:
        step(x, labels).numpy()

    return step_and_read_loss


def netspec_training(batch: int) -> Callable[[], None]:
    """A step of the trainer that `netspec train` uses."""
    spec = load("alexnet")
    recipe = Recipe(batch_size=batch, epochs=1, optimizer=Sgd(name="sgd", form="torch", **RULE))
    backend = at_level(find_backend("keras"), "training")
    trainer = backend.trainer(training_graph(spec.graph), weights_of(spec), TrainerSettings(recipe, None, "cpu"))
    batches = [Batch(pixels(spec, batch), np.zeros(batch, np.int64), np.arange(batch))]

    def step() -> None:
        trainer.step(batches, RULE["learning_rate"], batch, 0)

    return step


def _images(batch: int) -> Any:
    return np.ascontiguousarray(pixels(load("alexnet"), batch).transpose(0, 2, 3, 1))
