"""Testing tools for authors of ops and backends: conformance suites, networks, and faults that the suites must catch.

Every backend inherits `conformance.BackendConformance`; a backend that trains also inherits
`trainer_conformance.TrainerConformance`.
"""

import pytest

# Lets pytest show the operands of failed assertions in inherited tests too. Must run before the modules are imported.
_PARTS = ("", "trainer_", "head_", "map_", "mixing_", "derivative_", "state_")
pytest.register_assert_rewrite(*(f"{__name__}.{part}conformance" for part in _PARTS))
