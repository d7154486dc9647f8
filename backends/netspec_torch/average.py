"""The running average of the trained weights, which replaces them at inference."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from netspec.recipe import WeightAverage


class Average:
    """Keeps two tensors for each parameter, the iterate and the average, and lets the parameter hold either.

    Args:
        recipe: the rule of the average; None for no average, and then nothing is kept.
        parameters: by canonical name. Their values are the iterates, and the initial averages.

    Attributes:
        iterates: the weights that the optimizer updates, by name.
        averages: their running averages, by name.
    """

    def __init__(self, recipe: WeightAverage | None, parameters: Mapping[str, Parameter]) -> None:
        self._recipe = recipe
        self._parameters = dict(parameters) if recipe else {}
        self.iterates = {name: parameter.detach() for name, parameter in self._parameters.items()}
        self.averages = {name: iterate.clone() for name, iterate in self.iterates.items()}

    def show(self, *, average: bool) -> None:
        """Let the parameters hold the averages, or the iterates."""
        tensors = self.averages if average else self.iterates
        for name, parameter in self._parameters.items():
            parameter.data = tensors[name]

    def follow(self, updates: int) -> None:
        """Move the averages toward the iterates, after `updates` optimizer steps."""
        if self._recipe:
            averages: list[Tensor] = [*self.averages.values()]
            torch._foreach_lerp_(averages, [*self.iterates.values()], self._recipe.share(updates))
