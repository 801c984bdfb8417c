"""The tables of AS-FIBA: their averages made again from the cells, and what in them cannot be right."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from facefort.audit.published import Row, load
from facefort.metrics.statistics import Average, Proportion, average_cells, wilson

Rate = Literal["asr", "ba"]
RATES: tuple[Rate, ...] = ("asr", "ba")

_LOW_BA = 90.0
"""Below this, no other cell of table II calls a benign accuracy maintained."""


@dataclass(frozen=True)
class Anomaly:
    """Something printed that cannot be right, or says other than the text.

    Attributes:
        table: name of the published table.
        where: the rows or cells.
        detail: what is wrong, with the numbers.
    """

    table: str
    where: tuple[str, ...]
    detail: str


def averages(over: Literal["model", "attack"]) -> dict[str, dict[Rate, Average]]:
    """Averages of table II by restorer or by attack, in percent; the paper prints the macro ones."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in load("asfiba-table2"):
        groups[str(row[over])].append(row)
    return {
        name: {
            rate: average_cells([float(row[rate]) for row in rows], [int(row["n"]) for row in rows]) for rate in RATES
        }
        for name, rows in groups.items()
    }


def proportion(row: Row, rate: Rate) -> Proportion | None:
    """The count behind a cell of table II, with its Wilson interval; None where no count gives the printed figure."""
    n, printed = int(row["n"]), float(row[rate])
    hits = round(printed * n / 100)
    if f"{100 * hits / n:.2f}" != f"{printed:.2f}":
        return None
    return wilson(hits, n)


def anomalies() -> list[Anomaly]:
    """What a reader should know before comparing with these tables; found in the cells, not written down."""
    return [*_no_counts(), *_copied_rows(), *_low_accuracies(), *_lpips_drops()]


def _no_counts() -> list[Anomaly]:
    found = []
    for row in load("asfiba-table2"):
        for rate in RATES:
            if proportion(row, rate) is None:
                n, printed = int(row["n"]), float(row[rate])
                nearest = round(printed * n / 100)
                detail = (
                    f"{printed:.2f} % is no count of {n} pictures; the nearest is {nearest} = {100 * nearest / n:.2f} %"
                )
                found.append(Anomaly("asfiba-table2", (f"{_where(row)} {rate}",), detail))
    return found


def _copied_rows() -> list[Anomaly]:
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for row in load("asfiba-table1-benign"):
        rows[str(row["model"])].append((float(row["niqe"]), float(row["sdd"])))
    by_content: dict[tuple[tuple[float, ...], ...], list[str]] = defaultdict(list)
    for model, cells in rows.items():
        by_content[tuple(cells)].append(model)
    return [
        Anomaly(
            "asfiba-table1-benign",
            tuple(models),
            f"the benign rows of {' and '.join(models)} are the same {2 * len(cells)} figures; one was copied",
        )
        for cells, models in by_content.items()
        if len(models) > 1
    ]


def _low_accuracies() -> list[Anomaly]:
    cells = [row for row in load("asfiba-table2") if float(row["ba"]) < _LOW_BA]
    if not cells:
        return []
    figures = ", ".join(f"{float(row['ba']):.2f} %" for row in cells)
    detail = f"benign accuracy falls to {figures}, while the text calls it maintained"
    return [Anomaly("asfiba-table2", tuple(f"{_where(row)} ba" for row in cells), detail)]


def _lpips_drops() -> list[Anomaly]:
    rows = {str(row["attack"]): row for row in load("asfiba-table3")}
    clean = float(rows["none"]["lpips"])
    worse = [
        name
        for name, row in rows.items()
        if float(row["lpips"]) < clean and float(row["psnr"]) < float(rows["none"]["psnr"]) - 1
    ]
    return [
        Anomaly(
            "asfiba-table3",
            (name,),
            f"lpips drops from {clean} to {rows[name]['lpips']} although the trigger costs more than 1 dB: blur brings "
            "a noisy input nearer to the original, so lpips against the original is a poor measure of stealth",
        )
        for name in worse
    ]


def _where(row: Row) -> str:
    return f"{row['model']} {row['attack']} {row['set']}"
