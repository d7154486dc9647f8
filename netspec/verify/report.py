"""The outcome of a verification: every figure, and where the first divergence is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from netspec.errors import VerificationError
from netspec.verify.compare import Comparison

LOSS = "loss"  # the subject of a divergence that shows in no weight yet; a layer's weights have a dot in their names


@dataclass(frozen=True, slots=True)
class NodeError:
    """How far one node's value is from the reference's, in one backend: the proof, a node deep."""

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
    """Where two runs of the same training part, or a backend's update from its statement in NumPy.

    Attributes:
        backend, against: whose result, and whose it had to be.
        dtype: in which it was computed.
        step: the first optimizer step that differs, counted from 1.
        subject: the weight, of several the worst; `loss` for that of the step.
        slot: what the optimizer keeps for it, `velocity`; empty for the weight itself, or the loss.
        error: the difference as a share of the largest.
        tolerance: the largest error that passes.
        trap: what it usually is.
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
        what = f"the {self.slot.replace('_', ' ')} of {self.subject}" if self.slot else self.subject
        where = f"in the loss of step {self.step}" if self.subject == LOSS else f"after step {self.step} in {what}"
        return (
            f"{self.backend} first differs from {self.against} {where}, by {self.error:.1e} of its largest value "
            f"in {self.dtype}; expected at most {self.tolerance:.0e}"
        )


class Unfinished(NamedTuple):
    """A training of which the first steps alone were compared: rounding hides what the others would show.

    Attributes:
        dtype: in which it was computed.
        compared, steps: how many, of how many.
    """

    dtype: str
    compared: int
    steps: int


@dataclass(frozen=True, slots=True)
class Report:
    """All comparisons of a verification.

    Attributes:
        name: the spec's name.
        comparisons: a row a backend, dtype and case.
        nodes: node-deep errors where they were asked for, or taken after a failure.
        notes: what was not compared, and why.
        training: where training diverges first, for each backend, what it was held to, and dtype.
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
        """Whether something was compared, and all of it passed: layers too, where they were asked for."""
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
        """In what a report failed, in words."""
        if self.divergences and all(c.passed for c in self.comparisons):
            return "one function, but not layer by layer"
        only_training = all(c.passed or c.level == "training" for c in self.comparisons)
        return "one function, but not one training" if only_training else "not one function"

    def require(self) -> Report:
        """This report, or VerificationError with what failed and where it began."""
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
        found: tuple[NodeError | TrainingDivergence, ...] = (*self.divergences, *self.training)
        where = [f"{d}\n  likely: {d.trap}" if d.trap else str(d) for d in found]
        raise VerificationError("\n".join([f"{self.name}: {self.verdict}", *failed, *where]))
