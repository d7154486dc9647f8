# mypy: disable-error-code="no-untyped-call"
"""A linear layer with groups."""

import torch
from torch import Tensor, nn


class GroupedLinear(nn.Module):
    """`nn.Linear` with independent groups of features, like `groups` in `nn.Conv2d`.

    Shapes: x (..., in_features) to (..., out_features); weight (out_features,
    in_features / groups); bias (out_features,).
    """

    def __init__(
        self, in_features: int, out_features: int, groups: int, bias: bool = True
    ) -> None:
        super().__init__()
        self.groups = groups
        fan_in = in_features // groups
        self.weight = nn.Parameter(torch.empty(out_features, fan_in))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        for parameter in self.parameters():  # the initialization of nn.Linear
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each group of features by the rows of its group in the weight."""
        grouped = x.unflatten(-1, (self.groups, -1))
        weight = self.weight.unflatten(0, (self.groups, -1))
        y = torch.einsum("...gi,goi->...go", grouped, weight).flatten(-2)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        out_features, fan_in = self.weight.shape
        bias = self.bias is not None
        return f"{fan_in * self.groups}, {out_features}, {self.groups}, bias={bias}"
