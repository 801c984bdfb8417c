"""What the page of a restoration shows, gathered from the run's rows and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facefort.report.head import describe
from facefort.report.inline import Album, Inlined
from facefort.report.numbers import counted, duration, typeset
from facefort.restoring.tables import CSV, FACE, PHOTO, SKIPPED
from facefort.runs import Row, RunFolder

PHOTO_SIDE, FACE_SIDE = 1080, 224
MOST_PHOTOS, MOST_FACES, MOST_LINES = 12, 24, 200

SAME_PERSON = {
    "no": ("bad", "Same person: no"),
    "unsure": ("note", "Same person: unsure"),
    "yes": ("good", "Same person: yes"),
}
"""Severity and words of each answer, the one that a reader must see first on top."""


@dataclass(frozen=True)
class PhotoCard:
    """A photo before and after, with the few facts under it and what its file could not keep."""

    name: str
    before: Inlined
    after: Inlined
    facts: tuple[str, ...]
    warning: str


@dataclass(frozen=True)
class FaceCard:
    """A face before and after: its place ("photo.jpg, face 0"), whether it is still the person, numbers, warning."""

    name: str
    before: Inlined
    after: Inlined
    severity: str
    answer: str
    numbers: tuple[tuple[str, str], ...]
    warning: str


@dataclass(frozen=True)
class Column:
    """A column of the table of faces.

    Attributes:
        key: name in the rows.
        title: for people.
        digits: decimals; None for words.
    """

    key: str
    title: str
    digits: int | None = None


COLUMNS = (
    Column("size", "Size (px)", 0),
    Column("score", "Detection score", 2),
    Column("same_person", "Same person"),
    Column("identity", "Identity distance ↓", 3),
    Column("sharpness_before", "Sharpness before", 3),
    Column("sharpness_after", "Sharpness after", 3),
    Column("w", "w", 2),
    Column("blend", "Input blended in", 2),
    Column("warning", "Warning"),
)


@dataclass(frozen=True)
class Lines:
    """The table of faces: only columns in which some face has a value, and only the first lines of a long one."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    left: int


def restore_context(run: RunFolder) -> dict[str, Any]:
    """Everything that ``restore.html.j2`` shows.

    Raises:
        PictureError: a picture of the run is missing or damaged.
    """
    rows = list(run.rows())
    photos = [row for row in rows if row.cell == PHOTO]
    faces = [row for row in rows if row.cell in (FACE, SKIPPED)]
    restored = [row for row in faces if row.cell == FACE and row.status == "done"]
    album = Album()
    face_cards = _face_cards(run, restored, album)  # before the photos, which are larger: both shall have room
    photo_cards = _photo_cards(run, photos, album)
    shown = sum(row.status == "done" for row in photos)
    return {
        "head": describe(
            run.info,
            kicker="facefort restore",
            title=f"{counted(len(restored), 'face')} restored in {counted(shown, 'photo')}",
            verdict=_verdict(restored),
            glance=(("model", Path(run.info["settings"]["model"]).name), ("photos", str(len(photos)))),
        ),
        "photos": photo_cards,
        "photos_left": sum("output" in row.values for row in photos) - len(photo_cards),
        "faces": face_cards,
        "faces_left": len(restored) - len(face_cards),
        "recogniser": _recogniser(run, restored),
        "table": _lines(faces),
        "csv": CSV,
        "failures": [row for row in rows if row.status == "failed"],
    }


def _verdict(restored: Sequence[Row]) -> str:
    """How many restored faces are still the person, in one sentence."""
    answers = Counter(row.values["same_person"] for row in restored)
    if not answers:
        return "No face was restored."
    parts = [f"the same person in {answers['yes']} of {counted(len(restored), 'restored face')}"]
    if answers["unsure"]:
        parts.append(f"too little to tell in {answers['unsure']}")
    if answers["no"]:
        parts.append(f"somebody else in {answers['no']}")
    return f"Comparing before and after, the recogniser sees {_joined(parts)}."


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _recogniser(run: RunFolder, restored: Sequence[Row]) -> str:
    """Name of the recogniser and the distance up to which it takes two faces for one person."""
    limits = {row.values["identity_limit"] for row in restored}
    name = run.info["provenance"].get("recogniser", "")
    return f"{name}, up to {', '.join(typeset(limit, 3) for limit in sorted(limits))}" if name and limits else ""


def _photo_cards(run: RunFolder, photos: Sequence[Row], album: Album) -> list[PhotoCard]:
    cards: list[PhotoCard] = []
    for row in photos:
        values = row.values
        if "output" not in values:
            continue  # it could not be read; the failures say why
        if len(cards) == MOST_PHOTOS:
            break
        pictures = album.together([run.path / values["before"], run.path / values["output"]], PHOTO_SIDE)
        if pictures is None:
            break
        before, after = pictures
        cards.append(PhotoCard(row.unit, before, after, tuple(_photo_facts(row)), values.get("warning", "")))
    return cards


def _photo_facts(row: Row) -> Iterator[str]:
    values = row.values
    if values["faces"]:
        yield f"{values['restored_faces']} of {counted(values['faces'], 'face')} restored"
    size = f"{values['width']} × {values['height']} px"
    enlarged = (values["output_width"], values["output_height"]) != (values["width"], values["height"])
    yield f"{size} → {values['output_width']} × {values['output_height']} px" if enlarged else size
    yield duration(row.seconds)
    if row.reason:
        yield row.reason


def _face_cards(run: RunFolder, restored: Sequence[Row], album: Album) -> list[FaceCard]:
    """The faces that need a look first: another person, then what cannot be told, then by distance."""
    order = list(SAME_PERSON)
    cards: list[FaceCard] = []
    for row in sorted(restored, key=lambda one: (order.index(one.values["same_person"]), -one.values["identity"])):
        if len(cards) == MOST_FACES:
            break
        values = row.values
        pictures = album.together([run.path / values["cropped"], run.path / values["restored"]], FACE_SIDE)
        if pictures is None:
            break
        before, after = pictures
        severity, answer = SAME_PERSON[values["same_person"]]
        numbers = tuple(_face_numbers(values))
        cards.append(FaceCard(_face_name(values), before, after, severity, answer, numbers, values["warning"]))
    return cards


def _face_name(values: Mapping[str, Any]) -> str:
    return f"{values['photo']}, face {values['index']}"


def _face_numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "identity distance", typeset(values["identity"], 3)
    yield "sharpness", f"{typeset(values['sharpness_before'], 3)} → {typeset(values['sharpness_after'], 3)}"
    yield "size", f"{typeset(values['size'], 0)} px"


def _lines(faces: Sequence[Row]) -> Lines:
    columns = tuple(column for column in COLUMNS if any(row.values.get(column.key) not in (None, "") for row in faces))
    lines = tuple((_face_name(row.values), (_state(row), *_cells(row, columns))) for row in faces[:MOST_LINES])
    return Lines(columns, lines, len(faces) - len(lines))


def _state(row: Row) -> str:
    return "failed" if row.status == "failed" else "left out" if row.cell == SKIPPED else "restored"


def _cells(row: Row, columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        value = row.values.get(column.key)
        if value is None or value == "":
            yield "–"
        else:
            yield str(value) if column.digits is None else typeset(value, column.digits)
