"""Validates mappings of the document with pydantic models, and words their errors for the writer of a spec."""
