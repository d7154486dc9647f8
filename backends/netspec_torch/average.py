"""The running average of the trained weights, kept beside them and shown in their place when the network infers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from netspec.recipe import WeightAverage


class Average:
    """Two tensors for each parameter: what is trained, and its average, of which the parameter has one at a time.

    Args:
        recipe: how slowly it follows; None for no average, and nothing is kept.
        parameters: by canonical name. What they hold is what is trained, and the average at first.
    """

    def __init__(self, recipe: WeightAverage | None, parameters: Mapping[str, Parameter]) -> None:
        self._recipe = recipe
        self._parameters = dict(parameters) if recipe else {}
        self.iterates = {name: parameter.detach() for name, parameter in self._parameters.items()}
        self.averages = {name: iterate.clone() for name, iterate in self.iterates.items()}

    def show(self, *, average: bool) -> None:
        """Let the parameters be the average, or what is trained."""
        shown = self.averages if average else self.iterates
        for name, parameter in self._parameters.items():
            parameter.data = shown[name]

    def follow(self, updates: int) -> None:
        """Take in the weights after an update, of which there have been so many."""
        if self._recipe:
            averages: list[Tensor] = [*self.averages.values()]
            torch._foreach_lerp_(averages, [*self.iterates.values()], self._recipe.share(updates))
