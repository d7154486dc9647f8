"""The PyTorch trainer: the conformance suite, and behavior that is specific to PyTorch."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from netspec_torch import BACKEND
from netspec_torch.out_of_memory import explain_out_of_memory
from netspec_torch.trainer import TorchTrainer

from netspec.errors import BackendError
from netspec.lowering import TrainerSettings
from netspec.testing.trainer_cases import batch_of, network, normalization, recipe, start, with_masks
from netspec.testing.trainer_conformance import TrainerConformance
from netspec.types import DType


class TestTorchTrainer(TrainerConformance):
    backend = BACKEND

    def test_the_global_random_state_is_preserved(self) -> None:
        trainer, batch = self.trainer(recipe()), batch_of(4)
        state = torch.random.get_rng_state()
        trainer.step([batch], 0.1, 4, key=1)
        trainer.step([with_masks(batch)], 0.1, 4, key=2)
        with pytest.raises(BackendError):
            trainer.step([replace(batch, labels=batch.labels + 9)], 0.1, 4, key=3)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_a_small_network_takes_one_thread_and_restores_the_number(self) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            trainer = self.trainer(recipe())
            assert torch.get_num_threads() == 1
            trainer.close()
            assert torch.get_num_threads() == 2
            with pytest.raises(BackendError, match="expected weights in the loss"):
                self.trainer(recipe(auxiliary={"side": 0.3}))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)

    def test_given_masks_are_used_instead_of_random_ones(self) -> None:
        batch = batch_of(8)
        losses = [self.trainer(recipe()).step([b], 0.0, 8, key=0).loss for b in (with_masks(batch), batch)]
        both = self.trainer(recipe()).step([with_masks(batch), batch], 0.0, 8, key=0)
        assert both.loss == pytest.approx(sum(losses), rel=1e-12)

    def test_read_only_arrays_are_accepted_without_a_warning(self) -> None:
        batch = with_masks(batch_of(4, shifts=True))
        arrays = [batch.inputs, batch.labels, batch.shifts, *(batch.masks or {}).values()]
        for array in arrays:
            assert array is not None
            array.setflags(write=False)
        mirrored = replace(batch, inputs=batch.inputs[:, :, ::-1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trainer = self.trainer(recipe())
            trainer.step([batch, mirrored], 0.1, 8, key=0)
            trainer.predict(mirrored.inputs)
            trainer.import_state(trainer.export_state())

    def test_layers_compute_in_bfloat16(self) -> None:
        trainer = self.trainer(recipe(), DType.FLOAT32, "bfloat16")
        dtypes: list[torch.dtype] = []
        trainer.native.conv.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
        trainer.step([batch_of(8)], 0.01, 8, 0)
        assert dtypes == [torch.bfloat16]
        assert "layers in bfloat16, weights and updates in float32" in trainer.notes

    def test_the_emitted_class_is_trained(self) -> None:
        trainer = self.trainer(recipe())
        assert isinstance(trainer, TorchTrainer)
        assert type(trainer.native).__name__ == BACKEND.lower(network()).entry
        trainer.step([batch_of(4)], 0.1, 4, key=0)
        state = trainer.native.state_dict()
        for name, array in trainer.export_state().weights.items():
            path = name.replace("running_variance", "running_var")
            np.testing.assert_array_equal(state[path].numpy(), array)

    def test_unsupported_settings_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = TrainerSettings(recipe(), normalization())
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(BackendError, match="finds no CUDA device"):
            BACKEND.trainer(network(), start(), replace(settings, device="cuda"))
        monkeypatch.setenv("WORLD_SIZE", "two")
        with pytest.raises(BackendError, match="WORLD_SIZE: expected a whole number of 1 or more, received 'two'"):
            BACKEND.trainer(network(), start(), settings)

    def test_out_of_memory_is_reported_with_a_remedy(self) -> None:
        message = r"cpu does not have the memory for this batch\nhint: halve training\.batch_size"
        with pytest.raises(BackendError, match=message), explain_out_of_memory("cpu"):
            torch.empty(1 << 52)
