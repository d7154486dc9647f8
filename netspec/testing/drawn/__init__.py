"""Random specs for property-based tests: over every op, with branches and blocks, valid by construction."""
