"""The PyTorch backend: a plain `nn.Module` as source that needs torch alone."""

from netspec_torch.backend import TorchBackend

BACKEND = TorchBackend()

__all__ = ["BACKEND", "TorchBackend"]
