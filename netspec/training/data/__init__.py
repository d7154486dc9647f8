"""Data: opening datasets, decoding images, and building batches that are identical in every backend."""
