"""Reads `layers:`, `blocks:` and `outputs:`, and resolves which layer reads which values."""
