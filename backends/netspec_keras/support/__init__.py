"""Layers that Keras lacks, copied whole into the files that use them."""
