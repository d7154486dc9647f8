"""One profile for every test that draws its examples: the same ones on every run, on a machine of any speed.

And the environment of the processes that tests start.
"""

import os

from hypothesis import HealthCheck, settings

# With this variable, each process that a test starts would compile netspec anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile(
    "netspec",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # no test asserts a time, and on a busy machine drawing takes longer
    database=None,  # of earlier examples
    print_blob=False,
)
settings.load_profile("netspec")
