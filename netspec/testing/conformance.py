"""The conformance suite of backends. A subclass that sets `backend` tests every op, in every corner case.

    class TestMine(BackendConformance):
        backend = MyBackend()

An op without a lowering fails, unless the backend lists it as unsupported with a reason. Lowering it must then raise
an `UnsupportedError` with this reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
import pytest

from netspec.errors import BackendError, UnsupportedError
from netspec.lowering import Backend, Model
from netspec.ops import OPS
from netspec.ops.collective import COLLECTIVES
from netspec.testing import checks
from netspec.testing.cases import CORNERS, Corner, SampleCase, sample_cases
from netspec.testing.networks import NETWORKS
from netspec.types import DType
from netspec.verify import verify
from netspec.weights import initialize

CASES = list(sample_cases())
by_network = pytest.mark.parametrize("network", NETWORKS)


class BackendConformance:
    """Compares a backend with the reference. Subclass it and set `backend`.

    Attributes:
        backend: the backend to test.
        cases: the cases for tests of single ops.
    """

    backend: ClassVar[Backend]
    cases: ClassVar[Sequence[SampleCase]] = CASES

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize every test with a `case` argument over `cases`."""
        if "case" in metafunc.fixturenames:
            ids = [f"{i}-{case.sample.op.kind}" for i, case in enumerate(self.cases)]
            # Of the scope of a class, so that all tests of a case follow one another, and `loaded` serves them.
            metafunc.parametrize("case", self.cases, ids=ids, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, case: SampleCase) -> Callable[[DType], Model]:
        """Return a function that loads a case in a dtype, once for all tests that leave a model's state as it is."""
        return cache(partial(checks.load, cls.backend, case))

    def supports(self, case: SampleCase) -> bool:
        """Whether the op of a case is supported. If it is not, assert that lowering it raises the listed reason."""
        op = type(case.sample.op)
        if op not in self.backend.lowerings.unsupported:
            return True
        with pytest.raises(UnsupportedError, match=re.escape(self.backend.lowerings.unsupported[op])):
            self.backend.lower(case.graph)
        return False

    def test_every_op_is_lowered_or_listed(self) -> None:
        """Every op is either lowered or listed as unsupported. Collectives, which towers need, are optional."""
        lowered, listed = self.backend.lowerings.supported, set(self.backend.lowerings.unsupported)
        assert set(OPS.values()) <= lowered | listed <= {*OPS.values(), *COLLECTIVES.values()}
        assert not lowered & listed

    def test_lowering_is_pure(self, case: SampleCase) -> None:
        """Lowering a graph twice gives equal artifacts."""
        if self.supports(case):
            checks.check_lowering_is_pure(self.backend, case)

    def test_forward(self, case: SampleCase, loaded: Callable[[DType], Model]) -> None:
        """The forward pass agrees with the reference, in every dtype of the backend."""
        if self.supports(case):
            for dtype in sorted(self.backend.dtypes):
                checks.check_forward(self.backend, case, dtype, loaded(dtype))

    def test_weights_return(self, case: SampleCase, loaded: Callable[[DType], Model]) -> None:
        """Canonical weights are returned unchanged after they are loaded."""
        if self.supports(case):
            checks.check_weights_return(self.backend, case, loaded(DType.FLOAT32))

    def test_gradients(self, case: SampleCase, loaded: Callable[[DType], Model]) -> None:
        """Gradients agree with the derivatives of the reference. A backend without training raises."""
        if not self.supports(case):
            return
        if self.backend.trains:
            checks.check_gradients(self.backend, case, loaded(DType.FLOAT64))
        else:
            with pytest.raises(BackendError):
                loaded(DType.FLOAT32).gradients(case.inputs(1), {})

    @pytest.mark.parametrize("corner", CORNERS, ids=str)
    def test_slopes_at_corners(self, corner: Corner) -> None:
        """At points without a derivative, all backends choose the same subgradient."""
        if self.backend.trains and type(corner.op) not in self.backend.lowerings.unsupported:
            checks.check_corner(self.backend, corner)

    def test_training_mode(self, case: SampleCase, loaded: Callable[[DType], Model]) -> None:
        """Batch statistics, running statistics and dropout agree with the reference. Without training, it raises."""
        if not self.supports(case):
            return
        if self.backend.trains:
            has_statistics = not all(weight.trainable for weight in case.graph.weights.values())
            model = checks.load(self.backend, case, DType.FLOAT64) if has_statistics else loaded(DType.FLOAT64)
            checks.check_training(self.backend, case, model)
        else:
            with pytest.raises(BackendError):
                loaded(DType.FLOAT32).forward_training(case.inputs(1))

    def test_inputs_are_checked(self) -> None:
        """Inputs may be lists. What is no mapping of names to numbers is refused."""
        graph = NETWORKS["two_inputs"]()
        model = self.backend.load(self.backend.lower(graph), initialize(graph))
        inputs: dict[str, Any] = {i.name: np.ones(i.type.concrete(2), np.float32) for i in graph.inputs}
        lists = {name: array.tolist() for name, array in inputs.items()}
        for name, expected in model.forward(inputs).items():
            np.testing.assert_array_equal(model.forward(lists)[name], expected)
        wrong: list[tuple[Any, str]] = [
            (inputs["image"], "expected the inputs by name, {'image': array}, received a value of type ndarray"),
            (inputs | {"image": [[1.0], [1.0, 2.0]]}, "input image: not an array: "),
            (inputs | {"facts": inputs["facts"].astype(str)}, "input facts: expected real numbers, received <U"),
            (inputs | {"facts": inputs["facts"] * 1j}, "input facts: expected real numbers, received complex64"),
        ]
        for received, message in wrong:
            with pytest.raises(BackendError, match=re.escape(message)):
                model.forward(received)

    def test_empty_batch(self) -> None:
        """A batch without samples is refused, in one way, before the framework sees it."""
        graph = NETWORKS["two_inputs"]()
        model = self.backend.load(self.backend.lower(graph), initialize(graph))
        inputs = {i.name: np.zeros(i.type.concrete(0)) for i in graph.inputs}
        cotangents = {name: np.zeros(graph.type_of(name).concrete(0)) for name in graph.main}
        calls: list[Callable[[], object]] = [lambda: model.forward(inputs)]
        if self.backend.trains:
            calls += [lambda: model.forward_training(inputs), lambda: model.gradients(inputs, cotangents)]
        for call in calls:
            with pytest.raises(BackendError, match=r"input image: expected one sample or more, received none, \(0, "):
                call()

    @by_network
    def test_networks(self, network: str) -> None:
        """Every output and node of small networks agrees with the reference, as checked by `netspec verify`."""
        graph = NETWORKS[network]()
        if any(type(node.op) in self.backend.lowerings.unsupported for node in graph.nodes):
            return
        report = verify(graph, [self.backend], "forward", deep=True)
        report.require()
        assert {row.node for row in report.nodes} == {node.name for node in graph.nodes}
        assert not report.divergences
