"""Evaluates the parameters of a spec: declarations, presets and `--set`."""
