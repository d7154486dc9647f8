"""Emitted Python source: a syntax tree, names for classes and variables, a renderer, and a loader of modules."""
