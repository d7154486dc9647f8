"""For those who add an op or a backend: conformance suites, networks, and planted faults that they must catch.

`conformance.BackendConformance` is for every backend, `trainer_conformance.TrainerConformance` for one that trains.
"""

import pytest

# What an assertion compared is shown of tests that are inherited too; it has to be asked for before they are imported.
_PARTS = ("", "trainer_", "head_", "map_", "mixing_", "state_")
pytest.register_assert_rewrite(*(f"{__name__}.{part}conformance" for part in _PARTS))
