"""The outcome of a verification: all comparisons, and where results first diverge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from netspec.errors import VerificationError
from netspec.verify.compare import Comparison

LOSS = "loss"  # the subject of a divergence in the loss; no weight has this name, since weight names have a dot


@dataclass(frozen=True, slots=True)
class NodeError:
    """The error of one node's value in one backend, compared with the reference."""

    node: str
    op: str
    backend: str
    dtype: str
    error: float
    tolerance: float
    trap: str

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        return (
            f"{self.backend} first diverges at {self.node} ({self.op}), by {self.error:.1e} of its largest value "
            f"in {self.dtype}; expected at most {self.tolerance:.0e}"
        )


@dataclass(frozen=True, slots=True)
class TrainingDivergence:
    """The point at which a backend's training first diverges from another backend's, or from the update in NumPy.

    Attributes:
        backend, against: the backend, and the backend or `NumPy` that it was compared with.
        dtype: the dtype in which it was computed.
        step: the first optimizer step that differs, counted from 1.
        subject: the weight with the largest error, or `loss`.
        slot: the optimizer's slot of that weight that differs, such as `velocity`; empty for the weight or the loss.
        error: the difference as a share of the largest element.
        tolerance: the largest error that passes.
        trap: the usual cause.
    """

    backend: str
    against: str
    dtype: str
    step: int
    subject: str
    slot: str
    error: float
    tolerance: float
    trap: str

    def __str__(self) -> str:
        array = f"the {self.slot.replace('_', ' ')} of {self.subject}" if self.slot else self.subject
        where = f"in the loss of step {self.step}" if self.subject == LOSS else f"after step {self.step} in {array}"
        return (
            f"{self.backend} first differs from {self.against} {where}, by {self.error:.1e} of its largest value "
            f"in {self.dtype}; expected at most {self.tolerance:.0e}"
        )


class Unfinished(NamedTuple):
    """A training of which only the first steps were compared, because rounding would hide a fault in later ones.

    Attributes:
        dtype: the dtype in which it was computed.
        compared, steps: the number of steps compared, and of all steps.
    """

    dtype: str
    compared: int
    steps: int


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification.

    Attributes:
        name: the name of the spec.
        comparisons: a comparison for each backend, dtype and case.
        nodes: the errors of all nodes, if they were requested or a comparison failed.
        notes: notes for the reader, such as what was not compared and why.
        training: where training first diverges, for each pair that was compared and each dtype.
        unfinished: trainings that were not compared to their end.
    """

    name: str
    comparisons: tuple[Comparison, ...]
    nodes: tuple[NodeError, ...] = ()
    notes: tuple[str, ...] = ()
    training: tuple[TrainingDivergence, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether something was compared, and all comparisons and nodes passed."""
        compared = bool(self.comparisons) and all(c.passed for c in self.comparisons)
        return compared and all(node.passed for node in self.nodes)

    @property
    def divergences(self) -> tuple[NodeError, ...]:
        """The first node that diverges, for each backend and dtype that does."""
        first: dict[tuple[str, str], NodeError] = {}
        for row in self.nodes:
            if not row.passed:
                first.setdefault((row.backend, row.dtype), row)
        return tuple(first.values())

    @property
    def verdict(self) -> str:
        """The kind of failure, in words."""
        if self.divergences and all(c.passed for c in self.comparisons):
            return "one function, but not layer by layer"
        only_training = all(c.passed or c.level == "training" for c in self.comparisons)
        return "one function, but not one training" if only_training else "not one function"

    def require(self) -> Report:
        """Return this report if it passed.

        Raises:
            VerificationError: it did not pass; the message names the failures and the first divergences.
        """
        if self.passed:
            return self
        if not self.comparisons:
            raise VerificationError(f"{self.name}: nothing was compared", " ".join(self.notes))
        failed = [
            f"{c.level} {c.backend} against {c.against}, {c.dtype}, {c.case}, {c.subject}: "
            f"{c.error:.1e} {c.measure}, expected at most {c.tolerance:.0e}"
            for c in self.comparisons
            if not c.passed
        ]
        divergences: tuple[NodeError | TrainingDivergence, ...] = (*self.divergences, *self.training)
        causes = [f"{d}\n  likely: {d.trap}" if d.trap else str(d) for d in divergences]
        raise VerificationError("\n".join([f"{self.name}: {self.verdict}", *failed, *causes]))
