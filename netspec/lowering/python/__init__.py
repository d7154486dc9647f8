"""Python source as values: expressions and statements, names for what they make, text, and modules that run."""
