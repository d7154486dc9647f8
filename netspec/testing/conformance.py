"""The suite that a backend inherits: one class with its `backend`, and every op and corner is tested.

    class TestMine(BackendConformance):
        backend = MyBackend()

An op without a lowering fails, unless the backend lists it as unsupported with a reason; then it must raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from netspec.errors import BackendError, UnsupportedError
from netspec.lowering import Backend
from netspec.ops import OPS
from netspec.ops.collective import COLLECTIVES
from netspec.testing import checks
from netspec.testing.cases import CORNERS, Corner, SampleCase, sample_cases
from netspec.testing.networks import NETWORKS
from netspec.types import DType
from netspec.verify import verify

CASES = list(sample_cases())
by_network = pytest.mark.parametrize("network", NETWORKS)


class BackendConformance:
    """Tests of one backend against the reference. Subclass it with the backend.

    Attributes:
        backend: what is tested.
        cases: what each of its tests of ops is run with.
    """

    backend: ClassVar[Backend]
    cases: ClassVar[Sequence[SampleCase]] = CASES

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that takes a case with each."""
        if "case" in metafunc.fixturenames:
            ids = [f"{i}-{case.sample.op.kind}" for i, case in enumerate(self.cases)]
            metafunc.parametrize("case", self.cases, ids=ids)

    def supports(self, case: SampleCase) -> bool:
        """Whether the op is supported; where it is not, the backend must say so by raising."""
        op = type(case.sample.op)
        if op not in self.backend.lowerings.unsupported:
            return True
        with pytest.raises(UnsupportedError, match=self.backend.lowerings.unsupported[op]):
            self.backend.lower(case.graph)
        return False

    def test_every_op_is_lowered_or_listed(self) -> None:
        """No op is forgotten, and none is both. Collectives are for those backends that run a network in towers."""
        lowered, listed = self.backend.lowerings.supported, set(self.backend.lowerings.unsupported)
        assert set(OPS.values()) <= lowered | listed <= {*OPS.values(), *COLLECTIVES.values()}
        assert not lowered & listed

    def test_lowering_is_pure(self, case: SampleCase) -> None:
        """One graph, one artifact."""
        if self.supports(case):
            checks.check_lowering_is_pure(self.backend, case)

    def test_forward(self, case: SampleCase) -> None:
        """The reference's values, in every dtype that the backend has."""
        if self.supports(case):
            for dtype in sorted(self.backend.dtypes):
                checks.check_forward(self.backend, case, dtype)

    def test_weights_return(self, case: SampleCase) -> None:
        """Canonical weights survive the way in and out."""
        if self.supports(case):
            checks.check_weights_return(self.backend, case)

    def test_gradients(self, case: SampleCase) -> None:
        """Derivatives of the reference; a backend that only infers says so."""
        if not self.supports(case):
            return
        if self.backend.trains:
            checks.check_gradients(self.backend, case)
        else:
            with pytest.raises(BackendError):
                checks.load(self.backend, case, DType.FLOAT32).gradients(case.inputs(1), {})

    @pytest.mark.parametrize("corner", CORNERS, ids=str)
    def test_slopes_at_corners(self, corner: Corner) -> None:
        """Where a derivative is chosen, it is chosen alike."""
        if self.backend.trains and type(corner.op) not in self.backend.lowerings.unsupported:
            checks.check_corner(self.backend, corner)

    def test_training_mode(self, case: SampleCase) -> None:
        """Batch statistics, running statistics and dropout; a backend that only infers says so."""
        if not self.supports(case):
            return
        if self.backend.trains:
            checks.check_training(self.backend, case)
        else:
            with pytest.raises(BackendError):
                checks.load(self.backend, case, DType.FLOAT32).forward_training(case.inputs(1))

    @by_network
    def test_networks(self, network: str) -> None:
        """Ops in company, every output and every node, as `netspec verify` checks them."""
        graph = NETWORKS[network]()
        if any(type(node.op) in self.backend.lowerings.unsupported for node in graph.nodes):
            return
        report = verify(graph, [self.backend], "forward", deep=True)
        report.require()
        assert {row.node for row in report.nodes} == {node.name for node in graph.nodes}
        assert not report.divergences
