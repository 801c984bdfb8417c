"""Numbers that papers print, cell by cell with their sources: what a run of one's own is compared with.

A table is a CSV file beside this one, with the cells as printed and the number of pictures behind each where the paper
tells it. Nothing is corrected; what cannot be right is reported beside the table (``anomalies`` of the paper's module).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facefort.errors import UnknownNameError

Cell = str | int | float
Row = Mapping[str, Cell]

_HERE = Path(__file__).parent
_TEXT = frozenset({"model", "attack", "set", "over", "name"})


@dataclass(frozen=True)
class PublishedTable:
    """A printed table.

    Attributes:
        name: the file's stem.
        source: paper and number of the table.
        shows: what stands in it, with units and directions.
        note: what a reader must know before comparing.
    """

    name: str
    source: str
    shows: str
    note: str = ""


_ASFIBA = (
    "Song et al., AS-FIBA: Adaptive Selective Frequency-Injection for Backdoor Attack on Deep Face Restoration, 2024"
)
_ASFIBA += " (arXiv 2403.06430)"

TABLES: dict[str, PublishedTable] = {
    table.name: table
    for table in (
        PublishedTable(
            "asfiba-table2",
            f"{_ASFIBA}, table II",
            "asr and ba of six restorers under four attacks on three sets, in percent, both higher for the attack",
            "the backbone of LPIPS in the class rule is not named; n follows from the percentages",
        ),
        PublishedTable(
            "asfiba-table2-averages",
            f"{_ASFIBA}, table II, averages",
            "asr and ba averaged over each restorer's twelve cells and each attack's eighteen, in percent",
            "plain means of cells: a set of 180 pictures weighs as much as one of 1711",
        ),
        PublishedTable(
            "asfiba-table1-benign",
            f"{_ASFIBA}, table I, rows of the benign restorers",
            "niqe (lower) and sdd (SDD-FIQA score, higher) of benign restorers on benign inputs",
            "NIQE as in BasicSR; whether faces were aligned again for SDD-FIQA is not said",
        ),
        PublishedTable(
            "asfiba-table3",
            f"{_ASFIBA}, table III",
            "psnr (dB), ssim and lpips of triggered inputs against the high-quality originals",
            "against the originals, not against the benign inputs, which the trigger was added to",
        ),
    )
}


def load(name: str) -> list[Row]:
    """Rows of a published table, in the printed order; numbers as int or float, names as text.

    Raises:
        UnknownNameError: there is no such table.
    """
    if name not in TABLES:
        raise UnknownNameError("published table", name, TABLES)
    with (_HERE / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return [{key: _cell(key, text) for key, text in row.items()} for row in csv.DictReader(stream)]


def _cell(key: str, text: str) -> Cell:
    if key in _TEXT:
        return text
    return int(text) if key == "n" else float(text)
