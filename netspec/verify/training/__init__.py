"""The proof that training is the same in every backend: twenty optimizer steps, compared one by one."""

from netspec.verify.training.lockstep import TrainingProof, compare_training

__all__ = ["TrainingProof", "compare_training"]
