"""Networks written by hand, plainly and well: the peers of the emitted code."""
