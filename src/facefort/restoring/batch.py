"""Folders of photos: one durable row per photo and face, resumable at any moment, one photo in memory and one ahead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from facefort.errors import FaceError, PictureError, UsageError
from facefort.files import sha256_bytes, sha256_file
from facefort.models.restorer import Restorer
from facefort.pictures.folders import expand
from facefort.pictures.photo import Photo
from facefort.restoring import results, tables
from facefort.restoring.facelist import FaceList
from facefort.restoring.labels import Known, Labels, candidates
from facefort.restoring.pipeline import Tools, restore_photo
from facefort.restoring.results import Values
from facefort.restoring.settings import RestoreSettings, canonical, check
from facefort.restoring.tables import FACE, PHOTO, SKIPPED
from facefort.restoring.tools import RECOGNISER, load_tools
from facefort.runs import RunFolder, provenance

_OF_A_PHOTO = (PictureError, FaceError)
"""Errors that make one photo fail; anything else, such as missing weights or a full disk, ends the run."""


@dataclass(frozen=True)
class Outcome:
    """What became of one photo of a run.

    Attributes:
        number: its place among the photos of this session, from 1.
        total: how many there are.
        name: its label in the run.
        status: "done"; "failed": it could not be read or written, or a face of it failed; "kept": it was done before.
        reason: why it failed, or a remark.
        values: values of its row.
        faces: values of the rows of its faces, each with "status" and "reason"; empty for a kept photo.
        seconds: wall time.
    """

    number: int
    total: int
    name: str
    status: Literal["done", "failed", "kept"]
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    faces: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class _Loaded:
    """A photo as the reading thread hands it over: its pixels, or why there are none, or neither if it is done."""

    path: Path
    key: str
    photo: Photo | None = None
    error: str = ""


Status = Literal["done", "failed"]
Progress = Callable[[Outcome], None]


def run(
    settings: RestoreSettings,
    out: Path,
    progress: Progress | None = None,
    *,
    restorer: Restorer | None = None,
    command: str = "",
    resume: bool = True,
) -> RunFolder:
    """Restore photos into a folder, or go on with a run that was interrupted.

    Under ``out``: ``restored_imgs`` (whole photos), ``cropped_faces``, ``restored_faces`` and ``cmp`` (faces before,
    after, and both), ``faces.csv``, the editable ``faces.json``, and the run's own files. A photo is done once: by its
    content, whatever its name, under the same weights and settings.

    Args:
        settings: what to do.
        out: the run folder.
        progress: told after every photo.
        restorer: the model itself, instead of the one that ``settings.model`` names.
        command: the line that the user typed, for the record.
        resume: False starts over.

    Returns:
        The finished run, open for reading; its status is "failed" where a photo or a face failed.

    Raises:
        UsageError: no photos, settings that do not fit together, or a folder that holds another run.
        WeightsError: the model, the detector or the recogniser is missing.
        OutputError: the folder cannot be written.
    """
    check(settings)
    paths = expand(settings.inputs)[: settings.limit]
    if settings.box is not None and len(paths) > 1:
        raise UsageError(
            f"--box is the place of a face in one photo, and {len(paths)} were given; use --faces for more"
        )
    listed = FaceList.read(Path(settings.faces)) if settings.faces is not None else None
    tools = load_tools(settings, restorer)
    with RunFolder.open(
        out,
        verb="restore",
        settings=_recorded(settings),
        provenance=_record(settings, tools),
        command=command,
        resume=resume,
    ) as folder:
        try:
            _Session(settings, tools, listed, folder).work_through(paths, progress)
        finally:
            tables.write_tables(folder, None if settings.faces is None else Path(settings.faces))
    return folder


def _recorded(settings: RestoreSettings) -> Values:
    """Settings under which a run goes on; a face list counts by its content."""
    values = canonical(settings)
    if settings.faces is not None:
        values["faces"] = f"sha256 {sha256_file(Path(settings.faces))}"
    return values


def _record(settings: RestoreSettings, tools: Tools) -> dict[str, Any]:
    restorer = tools.restorer
    weights = {restorer.name: restorer.origin.sha256}
    more = {"recogniser": RECOGNISER, "computed by": str(tools.choice)}
    return provenance(seed=settings.seed, runtime=restorer.runtime, weights=weights) | more


class _Session:
    """One session of a run."""

    def __init__(self, settings: RestoreSettings, tools: Tools, listed: FaceList | None, folder: RunFolder) -> None:
        self.settings = settings
        self.tools = tools
        self.listed = listed
        self.folder = folder
        self.labels = Labels()
        self.finished: dict[tuple[str, str], str] = {}
        """File of each restored photo of earlier sessions, by label and content."""
        for row in folder.rows(PHOTO):
            key, is_done = row.values["key"], row.status == "done"
            self.labels.add(Known(key, row.unit, final=is_done or bool(row.values.get("faces"))))
            if is_done:
                self.finished[row.unit, key] = row.values["output"]

    def work_through(self, paths: Sequence[Path], progress: Progress | None) -> None:
        """Restore the photos one after the other; ``progress`` is told after each."""
        new = [not self.labels.has(path) for path in paths]
        self._expect(sum(new))
        for number, loaded in enumerate(self._read_ahead(paths), 1):
            outcome = self._settle(loaded, number, len(paths))
            self._expect(sum(new[number:]))
            if progress is not None:
                progress(outcome)

    def _expect(self, left: int) -> None:
        counts = self.folder.info["counts"]
        self.folder.expect(counts["done"] + counts["failed"] + left)

    def _read_ahead(self, paths: Sequence[Path]) -> Iterator[_Loaded]:
        """Photos in order; the next one is decoded in another thread while this one is worked on."""
        with ThreadPoolExecutor(1, "read-ahead") as pool:
            ahead: Future[_Loaded] = pool.submit(self._load, paths[0])
            for path in paths[1:]:
                loaded = ahead.result()
                ahead = pool.submit(self._load, path)
                yield loaded
            yield ahead.result()

    def _load(self, path: Path) -> _Loaded:
        try:
            if self.labels.has(path) and path.is_file():
                key = sha256_file(path)
                if self._is_finished(path, key):
                    return _Loaded(path, key)
            photo = Photo.read(path, max_pixels=self.settings.max_pixels)
        except PictureError as error:
            return _Loaded(path, _place(path), error=str(error))
        except OSError as error:
            return _Loaded(path, _place(path), error=f"cannot read {path}: {error.strerror or error}")
        return _Loaded(path, photo.sha256, photo)

    def _is_finished(self, path: Path, key: str) -> bool:
        files = (self.finished.get((label, key)) for label in candidates(path, key))
        return any(file is not None and (self.folder.path / file).is_file() for file in files)

    def _settle(self, loaded: _Loaded, number: int, total: int) -> Outcome:
        """Work on one photo; its own row is written last, so that it stands for the whole of it."""
        start = time.monotonic()
        label = self.labels.claim(loaded.path, loaded.key)
        if loaded.photo is None and not loaded.error:
            return Outcome(number, total, label, "kept")
        worked = _failed(loaded.error)
        if loaded.photo is not None:
            try:
                worked = self._restore(loaded.photo, label)
            except _OF_A_PHOTO as error:
                worked = _failed(str(error))
        values = {"input": loaded.path.name, "key": loaded.key, **worked.values}
        seconds = round(time.monotonic() - start, 3)
        self.folder.add(PHOTO, label, values, status=worked.status, reason=worked.reason, seconds=seconds)
        return Outcome(number, total, label, worked.status, worked.reason, values, worked.faces, seconds)

    def _restore(self, photo: Photo, label: str) -> _Worked:
        """Restore a photo and write its pictures and the rows of its faces."""
        listed = self.listed.of(label, photo.sha256) if self.listed is not None else None
        restoration = restore_photo(photo, self.settings, self.tools, listed)
        values = results.photo_values(photo, restoration)
        values |= results.write_photo(self.folder.path, label, photo, restoration, self.settings)
        faces = []
        for face in restoration.faces:
            of_face = results.face_values(label, photo, face, self.tools.judge.threshold)
            of_face |= results.write_face(self.folder.path, label, face, photo, self.settings)
            status: Status = "failed" if face.status == "failed" else "done"
            cell = SKIPPED if face.status == "skipped" else FACE
            self.folder.add(cell, f"{label}#{face.index}", of_face, status=status, reason=face.reason)
            faces.append({**of_face, "status": face.status, "reason": face.reason})
        status = "failed" if restoration.failed else "done"
        return _Worked(status, results.photo_remark(restoration), values, faces)


@dataclass(frozen=True)
class _Worked:
    """Values of a photo's row, and of the rows of its faces."""

    status: Status
    reason: str
    values: Values
    faces: Sequence[Values] = ()


def _failed(reason: str) -> _Worked:
    return _Worked("failed", reason, {"faces": 0})


def _place(path: Path) -> str:
    """Stands for the content of a file that could not be read: a hash of where it lies."""
    return sha256_bytes(str(path.resolve()).encode())
