"""For those who add an op or a backend: the conformance suite, networks, and planted faults that it must catch."""
