"""YAML text and the tree of what it says, each value with its place."""
