"""The language of `${…}`: text (`expression`) becomes a checked tree (`syntax`), then a bounded value (`evaluator`)."""
