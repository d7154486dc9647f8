"""The Keras trainer on TensorFlow: the conformance suite, and behavior that is specific to it."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from netspec_keras import BACKEND

from netspec.errors import BackendError
from netspec.lowering import TrainerSettings
from netspec.testing.networks import Chain
from netspec.testing.trainer_cases import batch_of, network, normalization, recipe, start, with_masks
from netspec.testing.trainer_conformance import TrainerConformance
from netspec.types import DType


class TestKerasTrainer(TrainerConformance):
    backend = BACKEND

    def test_masks_do_not_modify_the_layers(self) -> None:
        trainer = self.trainer(recipe())
        trainer.step([with_masks(batch_of(4))], 0.0, 4, key=0)
        assert not any("call" in vars(layer) for layer in trainer.native.layers)

    def test_the_network_is_traced_once_per_number_of_batches(self) -> None:
        trainer = self.trainer(recipe())
        traced, original = [], trainer.native.call

        def call(*args: object, **kwargs: object) -> object:
            traced.append(kwargs)
            return original(*args, **kwargs)

        vars(trainer.native)["call"] = call
        for step, (samples, rate) in enumerate([(8, 0.1), (8, 0.1), (3, 0.1), (8, 0.01), (1, 0.0)]):
            trainer.step([batch_of(samples)], rate, samples, step)
        assert len(traced) == 1
        for samples in (8, 3):
            trainer.step([batch_of(samples), batch_of(samples + 1)], 0.1, 2 * samples + 1, 0)
            trainer.predict(batch_of(samples).inputs)
        assert len(traced) == 3

    def test_out_of_memory_is_reported_with_a_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        learner = self.trainer(recipe())
        monkeypatch.setattr(tf, "function", lambda *args, **options: lambda arguments: tf.zeros(1 << 44))
        mended = r"cpu does not have the memory for this batch\nhint: halve training\.batch_size"
        with pytest.raises(BackendError, match=mended):
            learner.step([batch_of(4)], 0.1, 4, 0)

    def test_layers_compute_in_bfloat16(self) -> None:
        trainer = self.trainer(recipe(), DType.FLOAT32, "bfloat16")
        assert all(layer.compute_dtype == "bfloat16" and layer.dtype == "float32" for layer in trainer.native.layers)

    def test_unsupported_settings_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        graph, settings = network(), TrainerSettings(recipe(), normalization())
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
        with pytest.raises(BackendError, match="CUDA"):
            BACKEND.trainer(graph, start(), replace(settings, device="cuda"))
        still = Chain("still", facts=(4,)).add("dead", "batch_norm").add("fc", "dense", reads="facts", units=3).graph()
        weights = {name: np.ones(w.shape) for name, w in still.weights.items()}
        with pytest.raises(BackendError, match=r"dead\.running_mean, dead\.running_variance would never be updated"):
            BACKEND.trainer(still, weights, TrainerSettings(recipe()))
        refused = {
            "2": "trains on one device, in one process, but WORLD_SIZE is 2",
            "two": "WORLD_SIZE: expected a whole number of 1 or more, received 'two'",
        }
        for world, message in refused.items():
            monkeypatch.setenv("WORLD_SIZE", world)
            with pytest.raises(BackendError, match=message):
                BACKEND.trainer(graph, start(), settings)
        monkeypatch.setattr("netspec_keras.backend.ENGINE", "jax")
        with pytest.raises(BackendError, match="keras trains on TensorFlow, and is set to jax"):
            BACKEND.trainer(graph, start(), settings)
