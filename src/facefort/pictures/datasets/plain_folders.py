"""Folders that are no published data set: this program's own runs, BasicSR's LMDB, aligned faces, photos."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from facefort.errors import FacefortError, UsageError
from facefort.pictures.datasets.dataset import Check, Dataset, Facts, Fault
from facefort.pictures.datasets.scan import Folder, sample
from facefort.runs.folder import INFO, PICTURES, ROWS, RunFolder


class Run(Dataset):
    """A run folder of facefort."""

    facts = Facts("run", "facefort run", f"{INFO} and {ROWS} side by side", "as the pictures in it", (), "run")

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`; the run's record is read."""
        try:
            info = RunFolder.read(self.root).info
        except FacefortError as error:
            return Check({"pictures": len(self)}, {}, [Fault(self.root / INFO, f"readable record ({error})")])
        counts = info["counts"]
        notes = [f"{info['verb']}, {info['status']}: {counts['done']} rows done, {counts['failed']} failed"]
        faults = []
        if counts["left"]:
            faults.append(Fault(self.root / ROWS, "rows: the same command goes on where it stopped", counts["left"]))
        return Check({"pictures": len(self), "rows": counts["done"] + counts["failed"]}, {}, faults, notes)


class Lmdb(Dataset):
    """BasicSR's LMDB, of which only the list can be read."""

    facts = Facts(
        "lmdb", "BasicSR's LMDB", "data.mdb and meta_info.txt side by side", "as the pictures in it", (), "none"
    )

    @cached_property
    def names(self) -> list[str]:
        """Names of the pictures, from its list."""
        with (self.home.path / "meta_info.txt").open(encoding="utf-8") as lines:
            return [line.split()[0] for line in lines if line.strip()]

    def pictures(self) -> Iterator[Path]:
        """Not to be had.

        Raises:
            UsageError: always; the message says what to do.
        """
        raise UsageError(f"{self.root} is an LMDB, which facefort does not read; write its pictures to files first")

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`; the list is counted, the pictures are not looked at."""
        notes = ["facefort does not read LMDB: write the pictures to files first"]
        return Check({"pictures in the list": len(self.names)}, {}, (), notes)


class AlignedFaces(Dataset):
    """Square pictures of one size in one folder."""

    facts = Facts("faces", "aligned faces", "square pictures of one size in one folder", "yours to know", (), "faces")

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        side = self.sampled.size[0] if self.sampled.size else 0
        notes = [f"a folder of {len(self):,} square pictures of {side} px; whether they are aligned is not looked at"]
        return Check({"pictures": len(self)}, {}, self._picture_faults(subset), notes)


class Photos(Dataset):
    """Pictures of any size in one folder."""

    facts = Facts("photos", "photos", "pictures of any size in one folder", "yours to know", (), "photos")

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        sizes = sorted({f"{width} x {height}" for width, height in self.sampled.sizes})
        notes = [f"a folder of {len(self):,} pictures, of {', '.join(sizes[:3])}{' ...' if len(sizes) > 3 else ''} px"]
        return Check({"pictures": len(self)}, {}, self._picture_faults(subset), notes if sizes else [])


def find_run(folder: Folder) -> Run | None:
    """A run folder of facefort."""
    if INFO not in folder.files or ROWS not in folder.files:
        return None
    home = folder.child(PICTURES) or Folder(folder.path / PICTURES)
    return Run(folder.path, home, evidence=[f"{INFO} and {ROWS}"])


def find_lmdb(folder: Folder) -> Lmdb | None:
    """An LMDB as BasicSR writes it."""
    if "data.mdb" in folder.files and "meta_info.txt" in folder.files:
        return Lmdb(folder.path, folder, evidence=["data.mdb and meta_info.txt"])
    return None


def find_pictures(folder: Folder) -> AlignedFaces | Photos | None:
    """Aligned faces, or photos, that lie directly in a folder."""
    if not folder.pictures:
        return None
    sampled = sample(folder.path, folder.pictures)
    evidence = [f"{len(folder.pictures):,} pictures in {folder.path}"]
    if sampled.square and sampled.size is not None:
        return AlignedFaces(folder.path, folder, evidence=evidence)
    return Photos(folder.path, folder, evidence=evidence)
