"""What the page of an audit shows, gathered from the run's rows and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facefort.audit.gallery import AMPLIFIED, attack_roles
from facefort.audit.measure import INPUT
from facefort.audit.plan import CONTROL, FULL, QUALITY
from facefort.audit.verdict import Finding, findings
from facefort.report.audit_charts import curves, objective_name, strips
from facefort.report.head import describe
from facefort.report.inline import Album, Inlined
from facefort.report.measures import MEASURES, REFERENCE, STABILITY, WITHOUT_REFERENCE, Measure
from facefort.report.numbers import typeset
from facefort.report.tables import Condition, Table, tabulate, to_html, to_tall_html
from facefort.runs import Row, RunFolder

FACE_SIDE, STRIP_SIDE = 320, 224
HEADLINES = 3
MOST_FACES, MOST_ATTACKED = 12, 8
FACE_ORDER = ("lpips-alex", "psnr-rgb", "identity-io", "niqe")

SEVERITY_WORDS = {"good": "Good", "note": "Note", "warning": "Take care", "bad": "Problem"}

Numbers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FaceCard:
    """A face of the gallery: the pictures of its slider, the undamaged face where there is one, its numbers."""

    unit: str
    before: Inlined
    after: Inlined
    original: Inlined | None
    numbers: Numbers


@dataclass(frozen=True)
class AttackCard:
    """A face under one attack: captioned pictures from left to right, and its numbers."""

    unit: str
    attack: str
    pictures: tuple[tuple[str, Inlined], ...]
    numbers: Numbers


def audit_context(run: RunFolder) -> dict[str, Any]:
    """Everything that ``audit.html.j2`` shows.

    Raises:
        PictureError: a picture of the run is damaged.
    """
    rows = list(run.rows())
    quality = [row for row in rows if row.cell == QUALITY and row.status == "done"]
    attacked = [row for row in rows if row.cell != QUALITY and row.status == "done"]
    album = Album()
    attacks = _attack_cards(run, attacked, _indices(rows), album)
    faces = _face_cards(run, quality, album)
    found = findings(run)
    names = {attack_name(row.values) for row in attacked}
    return {
        "head": describe(
            run.info,
            kicker="facefort audit",
            title=Path(run.info["settings"]["model"]).name,
            verdict=_verdict(found[:HEADLINES]),
            glance=(("faces", str(len({row.unit for row in rows}))), ("attacks", str(len(names)))),
        ),
        "findings": found[:HEADLINES],
        "more_findings": found[HEADLINES:],
        "severity_words": SEVERITY_WORDS,
        "quality": to_tall_html(quality_table(quality)) if quality else None,
        "strips": strips(quality),
        "robustness": to_html(robustness_table(attacked)) if attacked else None,
        "curves": curves(attacked),
        "faces": faces,
        "faces_order": _order_words(quality),
        "faces_left": len(quality) - len(faces),
        "attacks": attacks,
        "failures": [row for row in rows if row.status == "failed"],
    }


def _verdict(found: Sequence[Finding]) -> str:
    """The headline findings as one sentence."""
    titles = [one.title[:1].lower() + one.title[1:] if place else one.title for place, one in enumerate(found)]
    return f"{'; '.join(titles)}." if titles else ""


def _indices(rows: Iterable[Row]) -> dict[str, int]:
    """Index of each attack, which names its pictures: an audit works on its cells in the order of its plan."""
    cells = dict.fromkeys(row.cell for row in rows if row.cell != QUALITY)
    return {cell: index for index, cell in enumerate(cells)}


def quality_table(rows: Sequence[Row]) -> Table:
    """Degraded input, restored picture and the paired change between them."""
    given: dict[Measure, list[float]] = {}
    restored: dict[Measure, list[float]] = {}
    change: dict[Measure, list[float]] = {}
    for measure in (MEASURES[name] for name in (*REFERENCE, *WITHOUT_REFERENCE)):
        pairs = [(row.values.get(INPUT + measure.name), row.values.get(measure.name)) for row in rows]
        given[measure] = [before for before, _ in pairs if before is not None]
        restored[measure] = [after for _, after in pairs if after is not None]
        change[measure] = [after - before for before, after in pairs if before is not None and after is not None]
    samples = {
        Condition("Degraded input"): given,
        Condition("Restored"): restored,
        Condition("Change", compared=False, signed=True): change,
    }
    truth = (
        "Against the undamaged faces"
        if any(row.values.keys() & set(REFERENCE) for row in rows)
        else "Without reference"
    )
    return tabulate(f"{truth}, mean and 95 % interval", samples)


def robustness_table(rows: Iterable[Row]) -> Table:
    """How far each attack moves the restoration away from that of the clean input."""
    samples: dict[Condition, dict[Measure, list[float]]] = {}
    for row in rows:
        by_measure = samples.setdefault(Condition(attack_name(row.values), compared=False), {})
        for name in (*STABILITY, "psnr-in"):
            if name in row.values:
                by_measure.setdefault(MEASURES[name], []).append(row.values[name])
    return tabulate("Attacked against clean, mean and 95 % interval", samples)


def attack_name(values: Mapping[str, Any]) -> str:
    """An attack in words: "pix_self, ε = 2/255"; the region is named where it is not the full face."""
    where = "" if values["region"] == FULL else f", {values['region']}"
    return f"{objective_name(values['objective'])}{where}, ε = {values['eps_text']}"


def _worst_first(rows: Iterable[Row], keys: Sequence[str]) -> list[Row]:
    """Sort by the first measure of ``keys`` that the rows have, the worst value first."""
    ordered = list(rows)
    measure = _judge(ordered, keys)
    if measure is None:
        return ordered
    sign = 1.0 if measure.better == "higher" else -1.0
    return sorted(ordered, key=lambda row: (sign * row.values.get(measure.name, sign * math.inf), row.unit))


def _judge(rows: Sequence[Row], keys: Sequence[str]) -> Measure | None:
    return next((MEASURES[key] for key in keys if any(key in row.values for row in rows)), None)


def _order_words(rows: Sequence[Row]) -> str:
    measure = _judge(rows, FACE_ORDER)
    return f"worst first by {measure.label} ({measure.name})" if measure else "in the order they were worked on"


def _face_cards(run: RunFolder, rows: Sequence[Row], album: Album) -> list[FaceCard]:
    cards: list[FaceCard] = []
    for row in _worst_first(rows, FACE_ORDER):
        paths = [run.picture(row.unit, role) for role in ("degraded", "restored", "clean")]
        present = [path for path in paths if path.is_file()]
        if not present or present[:2] != paths[:2]:
            continue  # a run keeps pictures of its most telling faces only
        pictures = album.together(present, FACE_SIDE)
        if pictures is None or len(cards) == MOST_FACES:
            break
        before, after, *original = pictures
        numbers = tuple(_numbers(row, (*REFERENCE, *WITHOUT_REFERENCE)))
        cards.append(FaceCard(row.unit, before, after, original[0] if original else None, numbers))
    return cards


def _attack_cards(run: RunFolder, rows: Sequence[Row], indices: Mapping[str, int], album: Album) -> list[AttackCard]:
    """Every pictured face under the attack that hurt it most, the worst face first."""
    cards: dict[str, AttackCard] = {}
    for row in _worst_first([row for row in rows if row.values["objective"] != CONTROL], STABILITY):
        roles = _captions(indices[row.cell])
        paths = [run.picture(row.unit, role) for role, _ in roles]
        if row.unit in cards or not all(path.is_file() for path in paths):
            continue
        pictures = album.together(paths, STRIP_SIDE)
        if pictures is None or len(cards) == MOST_ATTACKED:
            break
        shown = tuple(zip((caption for _, caption in roles), pictures, strict=True))
        numbers = tuple(_numbers(row, (*STABILITY, "psnr-in")))
        cards[row.unit] = AttackCard(row.unit, attack_name(row.values), shown, numbers)
    return list(cards.values())


def _captions(index: int) -> tuple[tuple[str, str], ...]:
    """Role and caption of the pictures of the attack with that index, from left to right."""
    adversarial, difference, attacked = attack_roles(index)
    return (
        ("degraded", "Input"),
        (adversarial, "Attacked input"),
        (difference, f"Difference × {AMPLIFIED}"),
        ("restored", "Restored from the input"),
        (attacked, "Restored from the attacked input"),
    )


def _numbers(row: Row, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if name in row.values:
            measure = MEASURES[name]
            text = typeset(row.values[name], measure.digits)
            yield measure.name, f"{text} {measure.unit}".rstrip()
