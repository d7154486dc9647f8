"""The language of `${…}`: text (`expression`) becomes a checked tree (`syntax`), then a bounded value (`evaluator`).

`operators` are its operators and functions, each with a bound; `hints` say what a writer may have meant.
"""
