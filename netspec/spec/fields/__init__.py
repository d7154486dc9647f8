"""Keys and values held to a model, and what is wrong with them told in the words of the language."""
