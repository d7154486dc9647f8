"""Layers that torch lacks, copied whole into emitted source."""
