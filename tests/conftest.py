"""One Hypothesis profile for all tests: the same examples on every run, no time limit, no database of earlier runs."""

from hypothesis import settings

settings.register_profile("netspec", derandomize=True, deadline=None, database=None, print_blob=False)
settings.load_profile("netspec")
