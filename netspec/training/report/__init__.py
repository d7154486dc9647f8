"""The report of a run: `report.html`, a self-contained page that needs nothing but a browser."""

from netspec.training.report.page import write_report
from netspec.training.report.record import RunRecord

__all__ = ["RunRecord", "write_report"]
