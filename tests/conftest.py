"""One profile for every test that draws its examples: the same ones on every run, on a machine of any speed."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "netspec",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # no test asserts a time, and on a busy machine drawing takes longer
    database=None,  # of earlier examples
    print_blob=False,
)
settings.load_profile("netspec")
