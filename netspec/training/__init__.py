"""Training: one loop runs a spec's recipe over data, identically in every backend that can train."""
