"""Pages and tables: pure functions of a run folder."""

from facefort.report.measured import comparison, per_picture, render_measurement
from facefort.report.page import render_page, write_page, write_summary
from facefort.report.tables import Condition, Table, render, tabulate

__all__ = [
    "Condition",
    "Table",
    "comparison",
    "per_picture",
    "render",
    "render_measurement",
    "render_page",
    "tabulate",
    "write_page",
    "write_summary",
]
