"""Networks as an engineer writes them by hand, plainly and well: what emitted code is measured against."""
