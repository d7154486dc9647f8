"""Layers that torch lacks; emitted source has a copy of each module it needs."""
