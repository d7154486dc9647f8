"""The proof that a network in towers is the network on one device: outputs, gradients and twenty steps of training."""

from netspec.verify.towers.proof import verify_towers

__all__ = ["verify_towers"]
