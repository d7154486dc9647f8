"""Reads YAML text into a document tree whose values know their positions."""
