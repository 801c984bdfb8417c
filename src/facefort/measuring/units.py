"""Which picture is compared with which: by name, never by position, and nothing is left out in silence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facefort.errors import UsageError
from facefort.measuring.settings import MeasureSettings
from facefort.pictures.folders import expand, natural_key
from facefort.restoring import labels
from facefort.restoring.results import PHOTOS, RESTORED
from facefort.restoring.tables import FACE, PHOTO
from facefort.runs import RunFolder
from facefort.runs.folder import INFO


@dataclass(frozen=True)
class Unit:
    """A picture to measure.

    Attributes:
        name: what pairs it: the stem of its file less a suffix.
        test: its file; None where there should be one.
        reference: the picture that it is compared with; None where there is none.
        problem: why it cannot be measured at all.
        reference_problem: why it cannot be compared with a reference.
        mask: where it is compared; None: everywhere, or there should be one.
        mask_problem: why it cannot be measured inside a mask.
    """

    name: str
    test: Path | None
    reference: Path | None = None
    problem: str = ""
    reference_problem: str = ""
    mask: Path | None = None
    mask_problem: str = ""


def find_units(settings: MeasureSettings) -> tuple[list[Unit], list[str]]:
    """Every picture to measure, in natural order, and remarks on how they were found.

    Raises:
        UsageError: nothing there, or two files of one side that would be the same picture.
    """
    notes: list[str] = []
    tests = _tests(settings, notes)
    units = tests
    if settings.reference and Path(settings.test).is_file() and Path(settings.reference).is_file():
        units = [replace(tests[0], reference=Path(settings.reference))]  # two files are a pair, whatever their names
    elif settings.reference:
        references = _by_name(expand([settings.reference]), settings.reference_suffix)
        units = _paired(tests, references, settings)
    if settings.masks:
        units = _masked(units, settings)
    units = sorted(units, key=lambda unit: natural_key(Path(unit.name)))
    return units[: settings.limit], notes


def _paired(tests: Sequence[Unit], references: dict[str, Path], settings: MeasureSettings) -> list[Unit]:
    """Tests with their references, and the references that no test belongs to."""
    named = {unit.name for unit in tests}
    lone = {} if settings.subset else {name: path for name, path in references.items() if name not in named}
    hint = "" if named & references.keys() else _hint(named, references)
    paired = []
    for unit in tests:
        why = "" if unit.name in references else f"no reference picture called {unit.name}{hint}"
        paired.append(Unit(unit.name, unit.test, references.get(unit.name), unit.problem, why))
    for name, path in lone.items():
        paired.append(Unit(name, None, path, f"no test picture for the reference {path.name}"))
    return paired


def _masked(units: Sequence[Unit], settings: MeasureSettings) -> list[Unit]:
    """Units with their masks; one file is the mask of all."""
    place = Path(settings.masks)
    if place.is_file():
        return [replace(unit, mask=place) for unit in units]
    masks = _by_name(expand([settings.masks]), settings.pair_suffix)
    return [
        replace(unit, mask=masks.get(unit.name), mask_problem="" if unit.name in masks else f"no mask {unit.name}")
        for unit in units
    ]


def _hint(tests: Iterable[str], references: Iterable[str]) -> str:
    """What to add to the command where no name pairs, judged by the first name of the tests that begins another."""
    known = list(references)
    for test in sorted(tests):
        for name in known:
            if test != name and test.startswith(name):
                return f"; if {test} belongs to {name}, add --pair-suffix={test.removeprefix(name)}"
            if test != name and name.startswith(test):
                return f"; if {test} belongs to {name}, add --reference-suffix={name.removeprefix(test)}"
    return "; --pair-suffix and --reference-suffix name endings that are to be ignored"


def _tests(settings: MeasureSettings, notes: list[str]) -> list[Unit]:
    place = Path(settings.test)
    if not settings.test:
        raise UsageError("name the pictures to measure: facefort measure FOLDER")
    if _is_restore_run(place):
        notes.append(f"{RESTORED} of the restore run; for whole photos name its {PHOTOS}")
        return _of_run(place, RESTORED, settings)
    if place.name in (RESTORED, PHOTOS) and _is_restore_run(place.parent):
        return _of_run(place.parent, place.name, settings)
    found = _by_name(expand([settings.test]), settings.pair_suffix)
    return [Unit(name, path) for name, path in found.items()]


def _is_restore_run(place: Path) -> bool:
    try:
        return json.loads((place / INFO).read_text(encoding="utf-8")).get("verb") == "restore"
    except (OSError, ValueError, AttributeError):
        return False


def _of_run(place: Path, kind: str, settings: MeasureSettings) -> list[Unit]:
    """What a restore run wrote of faces or photos, and a failed unit for each face or photo that is not there."""
    run = RunFolder.read(place)
    found: dict[str, Unit] = {}
    for unit in _faces(run, settings.pair_suffix) if kind == RESTORED else _photos(run, settings.pair_suffix):
        if unit.name in found:
            raise UsageError(f"two pictures of {place} are called {unit.name} without their endings; narrow them down")
        found[unit.name] = unit
    if not found:
        raise UsageError(f"{place / kind} holds no picture; was the restore run finished?")
    return list(found.values())


def _photos(run: RunFolder, pair_suffix: str) -> Iterator[Unit]:
    for row in run.rows(PHOTO):
        name = labels.stem(row.unit).removesuffix(pair_suffix)
        if "output" in row.values:
            yield Unit(name, run.path / row.values["output"])
        else:
            yield Unit(name, None, problem=f"not restored: {row.reason}")


def _faces(run: RunFolder, pair_suffix: str) -> Iterator[Unit]:
    """Named as the faces that went in, whatever --suffix the restored ones were given."""
    for row in run.rows():
        if row.cell == FACE:
            stem = f"{labels.stem(row.values['photo'])}_{row.values['index']:02d}"
            name = stem.removesuffix(pair_suffix)
            if row.status == "failed" or "restored" not in row.values:
                yield Unit(name, None, problem=f"not restored: {row.reason or 'no picture was written'}")
            else:
                yield Unit(name, run.path / row.values["restored"])
        elif row.cell == PHOTO and row.status == "failed" and not row.values.get("faces"):
            yield Unit(labels.stem(row.unit), None, problem=f"not restored: {row.reason}")


def _by_name(paths: Sequence[Path], suffix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        name = path.stem.removesuffix(suffix) or path.stem
        if name in found:
            raise UsageError(
                f"{found[name]} and {path} would both be '{name}'; which one is meant? Move one away or name a pattern"
            )
        found[name] = path
    return found
