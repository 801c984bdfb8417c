"""CelebA: the aligned pictures of 178 x 218, as the owners, Kaggle and many copies lay them out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from facefort.pictures.datasets.dataset import Check, Dataset, Facts, Fault
from facefort.pictures.datasets.scan import Folder, key_of, numbers, plain, sample, stem
from facefort.pictures.datasets.splits import CELEBA_PART_COUNTS, CELEBA_PARTS, CELEBA_SPLITS
from facefort.pictures.datasets.tables import AttributeTable, NumberTable, Table, read_table

ALIGNED = (178, 218)
_ATTRIBUTES = 40
_DEPTH = 3


class CelebA(Dataset):
    """CelebA, with whatever of its tables lies beside the pictures."""

    facts = Facts(
        kind="celeba",
        title="CelebA",
        layout="pictures numbered from 1, of 178 x 218 px, or beside list_attr_celeba.txt or .csv",
        licence="non-commercial research; no redistribution (Liu et al., MMLAB, CUHK)",
        counts=(202_599,),
        use="photos",
    )

    attribute_table: AttributeTable | None = None
    partition: NumberTable | None = None
    people: NumberTable | None = None

    @cached_property
    def _order(self) -> list[str]:
        """Keys in the order of the table, which the splits are defined on; that of the files where there is none."""
        return self.attribute_table.keys if self.attribute_table else list(self.index)

    def attributes(self) -> Iterator[tuple[Path, dict[str, int]]]:
        """Every picture of the table with its forty attributes."""
        if self.attribute_table is None:
            raise self._has_no("attributes")
        return attributes_of(self, self.attribute_table)

    def identities(self) -> Iterator[tuple[Path, str]]:
        """Every picture with the number of the person."""
        if self.people is None:
            raise self._has_no("identities")
        return ((self.file(key), str(person)) for key, person in self.people.rows() if key in self.index)

    def splits(self) -> list[str]:
        """The official parts where the partition is there, and what others made of the list."""
        return [*(CELEBA_PARTS.values() if self.partition else ()), *CELEBA_SPLITS]

    def split_keys(self, name: str) -> list[str]:
        """See :meth:`Dataset.split_keys`."""
        if name in CELEBA_SPLITS:
            return [self._order[place] for place in CELEBA_SPLITS[name].places(len(self._order))]
        if name not in self.splits() or self.partition is None:
            raise self._no_split(name)
        return [key for key, part in self.partition.rows() if CELEBA_PARTS.get(part) == name]

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        total = self.facts.counts[0]
        faults = self._picture_faults(subset, map(str, range(1, total + 1)))
        faults += self._table_faults(subset)
        counts = {"pictures": len(self)}
        if self.attribute_table is not None:
            counts["attributes"] = len(self.attribute_table.names)
        if self.people is not None:
            counts["people"] = len({person for _, person in self.people.rows()})
        splits = self._split_counts()
        return Check(counts, splits, faults, self._notes(splits))

    def _table_faults(self, subset: bool) -> list[Fault]:
        suffix = "csv" if self.attribute_table and self.attribute_table.csv else "txt"
        faults = []
        if self.attribute_table is None:
            what = "table of attributes; without it: no attributes"
            faults.append(Fault(self.root / f"list_attr_celeba.{suffix}", what))
        else:
            faults += table_faults(self, self.attribute_table)
        if self.partition is None and not subset:
            what = "table of the official parts; without it: no official/* splits"
            faults.append(Fault(self.root / f"list_eval_partition.{suffix}", what))
        return faults

    def _notes(self, splits: dict[str, int]) -> list[str]:
        notes = []
        if self.people is None:
            notes.append(
                f"no identities: {self.root / 'identity_CelebA.txt'} is not there; Kaggle's copy leaves it out"
            )
        published = {**CELEBA_PART_COUNTS, **{name: split.count for name, split in CELEBA_SPLITS.items()}}
        other = [name for name, count in splits.items() if count != published[name]]
        if other:
            notes.append(f"not as published, because the list is not whole: {', '.join(other)}")
        if self.sampled.size is not None and self.sampled.size != ALIGNED:
            width, height = self.sampled.size
            notes.append(f"pictures of {width} x {height} px, not the aligned ones of 178 x 218 px: crops do not apply")
        return notes


def find(folder: Folder) -> CelebA | None:
    """CelebA in a folder: its tables, and its pictures in it or some folders below; without tables, its pictures."""
    tables = list(tables_of(folder))
    attributes = next((t for t in tables if isinstance(t, AttributeTable) and t.keys[:1] != ["0"]), None)
    home = next((f for f in folder.below(_DEPTH if attributes else 0) if _holds_pictures(f, bool(attributes))), None)
    if home is None:
        if attributes is None or len(attributes.names) != _ATTRIBUTES or any(f.pictures for f in folder.below(1)):
            return None
        home = Folder(folder.path / "img_align_celeba")
    evidence = [f"numbered pictures in {home.path}"]
    variant = ["no attributes"]
    if attributes is not None:
        evidence.append(f"attributes in {attributes.path}")
        variant = [f"attributes as {'CSV' if attributes.csv else 'text'}"]
    if plain(home.path.name) == plain(home.path.parent.name):
        variant.append("folder in a folder of its name")
    found = CelebA(folder.path, home, variant=", ".join(variant), evidence=evidence)
    found.attribute_table = attributes
    found.partition, found.people = _number_tables([t for t in tables if isinstance(t, NumberTable)])
    return found


def table_faults(dataset: Dataset, table: AttributeTable) -> list[Fault]:
    """A table that is shorter than it says, and pictures without a row."""
    faults = []
    if table.declared is not None and table.declared != len(table.keys):
        what = f"rows: its first line says {table.declared:,}, there are {len(table.keys):,}"
        faults.append(Fault(table.path, what, abs(table.declared - len(table.keys))))
    keys = set(table.keys)
    rowless = [name for key, name in dataset.index.items() if key not in keys]
    if rowless:
        faults.append(Fault(table.path, f"row of {rowless[0]}; without it: no attributes of it", len(rowless)))
    return faults


def attributes_of(dataset: Dataset, table: AttributeTable) -> Iterator[tuple[Path, dict[str, int]]]:
    """Pictures that are there, with their rows."""
    for name, values in table.rows():
        key = key_of(stem(name))
        if key in dataset.index:
            yield dataset.file(key), dict(zip(table.names, values, strict=True))


def tables_of(folder: Folder) -> Iterator[Table]:
    """Tables in the folder and in the owners' Anno and Eval."""
    for place in (folder, folder.child("Anno"), folder.child("Eval"), folder.child("annotations")):
        for path in place.texts() if place else ():
            table = read_table(path)
            if table is not None:
                yield table


def _number_tables(tables: list[NumberTable]) -> tuple[NumberTable | None, NumberTable | None]:
    """(partition, identities): by name, or by how large the numbers are."""
    partition = people = None
    for table in tables:
        name = plain(table.path.name)
        if "partition" in name or "eval" in name:
            partition = table
        elif "identit" in name:
            people = table
        elif max((number for _, number in table.rows()), default=0) > 2:
            people = people or table
        else:
            partition = partition or table
    return partition, people


def _holds_pictures(folder: Folder, attributed: bool) -> bool:
    found = numbers(stem(name) for name in folder.pictures)
    if not found or min(found) < 1:
        return False
    return attributed or sample(folder.path, folder.pictures, 3).size == ALIGNED
