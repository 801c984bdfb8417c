"""CelebA-HQ and CelebAMask-HQ: 30000 pictures numbered from 0; the second adds masks of parts and attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefort.pictures.datasets.celeba import attributes_of, table_faults, tables_of
from facefort.pictures.datasets.dataset import Check, Dataset, Facts, Fault
from facefort.pictures.datasets.labels import PARTS, merge
from facefort.pictures.datasets.scan import Folder, key_of, numbers, plain, stem
from facefort.pictures.datasets.splits import CELEBAHQ_SPLITS, CELEBAMASK_PART_COUNTS, celebamask_part
from facefort.pictures.datasets.tables import AttributeTable, MappingTable

COUNT = 30_000
_PER_FOLDER = 2000
_DEPTH = 2
_PART = re.compile(rf"(\d+)_({'|'.join(PARTS)})\.png", re.IGNORECASE)


class CelebAHQ(Dataset):
    """CelebA-HQ, with whatever of CelebAMask-HQ's tables lies beside the pictures."""

    facts = Facts(
        kind="celeba-hq",
        title="CelebA-HQ",
        layout="square pictures numbered from 0 to 29999, with five digits or none",
        licence="non-commercial research (Karras et al., ICLR 2018; pictures as CelebA)",
        counts=(COUNT,),
        use="faces",
    )
    example = "0.jpg"
    attribute_table: AttributeTable | None = None
    mapping: MappingTable | None = None

    def attributes(self) -> Iterator[tuple[Path, dict[str, int]]]:
        """Every picture of the table with its forty attributes."""
        if self.attribute_table is None:
            raise self._has_no("attributes")
        return attributes_of(self, self.attribute_table)

    def splits(self) -> list[str]:
        """The official parts where the mapping to CelebA is there, and what others made of the list."""
        return [*(CELEBAMASK_PART_COUNTS if self.mapping else ()), *CELEBAHQ_SPLITS]

    @cached_property
    def _order(self) -> list[str]:
        """Keys in the order of the attributes' table, which is that of the numbers."""
        return self.attribute_table.keys if self.attribute_table else list(self.index)

    def split_keys(self, name: str) -> list[str]:
        """See :meth:`Dataset.split_keys`."""
        if name in CELEBAHQ_SPLITS:
            return [self._order[place] for place in CELEBAHQ_SPLITS[name].places(len(self._order))]
        if name not in self.splits() or self.mapping is None:
            raise self._no_split(name)
        return [key for key, original, _ in self.mapping.rows() if celebamask_part(original) == name]

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        faults = self._picture_faults(subset, map(str, range(self.facts.counts[0])))
        counts = {"pictures": len(self)}
        if self.attribute_table is not None:
            counts["attributes"] = len(self.attribute_table.names)
            faults += table_faults(self, self.attribute_table)
        splits = self._split_counts()
        published = {**CELEBAMASK_PART_COUNTS, **{name: split.count for name, split in CELEBAHQ_SPLITS.items()}}
        other = [name for name, count in splits.items() if count != published[name]]
        notes = [f"not as published, because the list is not whole: {', '.join(other)}"] if other else []
        return Check(counts, splits, faults, notes)


class CelebAMaskHQ(CelebAHQ):
    """CelebA-HQ with masks of eighteen parts, each in a file of its own where the picture has that part."""

    facts = Facts(
        kind="celebamask-hq",
        title="CelebAMask-HQ",
        layout="CelebA-HQ-img/0.jpg ..., and masks 00000_skin.png ... in folders 0 to 14 or in one folder",
        licence="non-commercial research and education (Lee et al., CVPR 2020)",
        counts=(COUNT,),
        use="faces",
    )
    mask_home: Folder

    @cached_property
    def mask_files(self) -> dict[str, dict[str, Path]]:
        """Key -> part -> file."""
        found: dict[str, dict[str, Path]] = {}
        for folder in (self.mask_home, *self.mask_home.folders.values()):
            for name in folder.files:
                match = _PART.fullmatch(name)
                if match is not None:
                    found.setdefault(key_of(match[1]), {})[match[2].lower()] = folder.path / name
        return found

    def masks(self, order: str = "celebamask-hq") -> Iterator[tuple[Path, NDArray[np.uint8]]]:
        """Every picture with its parts merged; a part that has no file is not in the picture."""
        for key in self.index:
            yield self.file(key), merge(self.mask_files.get(key, {}), order)

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        checked = super().check(subset=subset)
        maskless = [key for key in self.index if key not in self.mask_files]
        faults = list(checked.faults)
        if maskless:
            faults.append(Fault(self._mask_path(maskless[0]), "masks of a picture", len(maskless)))
        if self.attribute_table is None:
            what = "table of attributes; without it: no attributes"
            faults.append(Fault(self.root / "CelebAMask-HQ-attribute-anno.txt", what))
        if self.mapping is None:
            what = "table of the pictures' numbers in CelebA; without it: no official/* splits"
            faults.append(Fault(self.root / "CelebA-HQ-to-CelebA-mapping.txt", what))
        counts = {**checked.counts, "masks": sum(map(len, self.mask_files.values()))}
        return Check(counts, checked.splits, faults, checked.notes)

    def _mask_path(self, key: str) -> Path:
        name = f"{key.zfill(5)}_skin.png"
        nested = bool(self.mask_home.folders) or not self.mask_home.files
        place = (
            self.mask_home.path / str(int(key) // _PER_FOLDER) if nested and key.isdecimal() else self.mask_home.path
        )
        return place / name


def find(folder: Folder) -> CelebAHQ | None:
    """CelebAMask-HQ in a folder, or CelebA-HQ."""
    tables = list(tables_of(folder))
    attributes = next((t for t in tables if isinstance(t, AttributeTable) and t.keys[:1] == ["0"]), None)
    mapping = next((t for t in tables if isinstance(t, MappingTable)), None)
    mask_home = _mask_home(folder)
    marked = mask_home is not None or attributes is not None or mapping is not None
    home = next((each for each in folder.below(_DEPTH if marked else 0) if _holds_pictures(each, marked)), None)
    if home is None:
        if not marked:
            return None
        home = Folder(folder.path / "CelebA-HQ-img")
    evidence = [f"pictures numbered from 0 in {home.path}"] if home.pictures else []
    evidence += [
        f"{what} in {table.path}" for what, table in (("attributes", attributes), ("mapping", mapping)) if table
    ]
    found: CelebAHQ
    if mask_home is None and attributes is None:
        found = CelebAHQ(folder.path, home, evidence=evidence)
    else:
        found = CelebAMaskHQ(folder.path, home, evidence=evidence)
        found.mask_home = mask_home or Folder(folder.path / "CelebAMask-HQ-mask-anno")
        if mask_home is not None:
            found.variant = "masks in numbered folders" if mask_home.folders else "masks in one folder"
            found.evidence += (f"masks of parts in {mask_home.path}",)
    found.attribute_table, found.mapping = attributes, mapping
    return found


def _mask_home(folder: Folder) -> Folder | None:
    """The folder whose files are called like masks of parts, or the one above where it is one of several by number."""
    for each in folder.below(_DEPTH):
        if any(_PART.fullmatch(name) for name in each.files[:20]):
            return each.parent if each.path.name.isdecimal() and each.parent is not None else each
    return None


def _holds_pictures(folder: Folder, marked: bool) -> bool:
    found = numbers(stem(name) for name in folder.pictures)
    if not found or max(found) >= COUNT:
        return False
    if marked:
        return True
    called = "celeb" in plain(str(folder.path)) and "hq" in plain(folder.path.name)
    return min(found) == 0 and "ffhq" not in plain(str(folder.path)) and (len(found) == COUNT or called)
