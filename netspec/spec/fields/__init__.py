"""Keys and values checked against a model, and what is wrong with them in the words of the language."""
