"""`parameters:`, `presets:` and `--set`: the values that a spec is read with."""
