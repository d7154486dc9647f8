"""The proof that a spec is the same function in every backend.

`verify` runs `cases`, random weights and inputs, through the reference and each backend, and compares outputs and
`gradients` by the measures and tolerances of `compare`, or by what `rounding` makes of the network itself. `training`
compares twenty steps, and `towers` one device with several. All end in a `report`.
"""

from netspec.verify.compare import Comparison, Level
from netspec.verify.report import NodeError, Report, TrainingDivergence, Unfinished
from netspec.verify.verify import verify

__all__ = ["Comparison", "Level", "NodeError", "Report", "TrainingDivergence", "Unfinished", "verify"]
