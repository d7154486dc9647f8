"""Parses and evaluates the expressions of the language, `${…}`."""
