"""The test sets of blind face restoration: flat folders of aligned faces of 512 px, which their counts tell apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from facefort.pictures.datasets.dataset import Check, Dataset, Facts, Fault
from facefort.pictures.datasets.scan import Folder, key_of, plain, sample, stem

SIDE = 512
_PERSON = re.compile(r"[^\W\d].*_\d{4}(_\d+)?")
_HQ = ("hq", "gt", "hr", "high", "original", "groundtruth", "validationhq", "celeba512validation")
_LQ = ("lq", "lr", "low", "input", "inputs", "degraded", "celeba512validationlq")


class TestSet(Dataset):
    """One of them without originals."""

    __test__: ClassVar[bool] = False

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        faults = self._picture_faults(subset)
        other = [size for size in self.sampled.sizes if size != (SIDE, SIDE)]
        if other:
            what = f"pictures of {other[0][0]} x {other[0][1]} px, not of {SIDE}"
            faults.append(Fault(self.home.path, what))
        counts = " or ".join(f"{count:,}" for count in self.facts.counts)
        notes = [f"published with {counts} pictures; N = {len(self):,} here"] if len(self.facts.counts) > 1 else []
        if self.facts.kind == "lfw-test":
            notes.append("two alignments are about (dlib's, RetinaFace's): FID and NIQE compare within one only")
        return Check({"pictures": len(self)}, {}, faults, notes)


class LFWTest(TestSet):
    """The first picture of each person of LFW's validation part."""

    facts = Facts(
        "lfw-test",
        "LFW-Test",
        "1711 aligned faces of 512 px in one folder, called like people",
        "as LFW: research",
        (1711,),
        "degraded",
    )


class CelebChild(TestSet):
    """Celebrities as children."""

    facts = Facts(
        "celebchild-test",
        "CelebChild-Test",
        "180 aligned faces of 512 px in one folder",
        "pictures from the web, rights with their owners; research",
        (180,),
        "degraded",
    )


class WebPhoto(TestSet):
    """Faces of old photos from the web."""

    facts = Facts(
        "webphoto-test",
        "WebPhoto-Test",
        "407 aligned faces of 512 px in one folder (469 in another version)",
        "pictures from the web, rights with their owners; research",
        (407, 469),
        "degraded",
    )


class WiderTest(TestSet):
    """Severely degraded faces of WIDER Face."""

    facts = Facts(
        "wider-test",
        "WIDER-Test",
        "970 aligned faces of 512 px in one folder",
        "as WIDER Face: non-commercial research",
        (970,),
        "degraded",
    )


class Pairs(Dataset):
    """Degraded pictures and their originals, in two folders, paired by name."""

    facts = Facts(
        "pairs",
        "degraded and original pictures",
        "two folders, hq or gt and lq or input, with pictures of the same names",
        "as the pictures",
        (),
        "degraded",
    )
    originals: Folder

    @cached_property
    def original_names(self) -> dict[str, str]:
        """Key -> file of every original."""
        return {key_of(stem(name)): name for name in self.originals.pictures}

    def pairs(self) -> Iterator[tuple[Path, Path]]:
        """(degraded, original) of every picture that has both."""
        return (
            (self.home.path / name, self.originals.path / self.original_names[key])
            for key, name in self.index.items()
            if key in self.original_names
        )

    def check(self, *, subset: bool = False) -> Check:
        """See :meth:`Dataset.check`."""
        faults = self._picture_faults(subset)
        for folder, here, there in (
            (self.originals, self.original_names, self.index),
            (self.home, self.index, self.original_names),
        ):
            absent = [name for key, name in there.items() if key not in here]
            if absent:
                faults.append(Fault(folder.path / absent[0], "partner of a picture", len(absent)))
        both = sum(key in self.original_names for key in self.index)
        return Check({"pictures": len(self), "originals": len(self.original_names), "pairs": both}, {}, faults)


class CelebATest(Pairs):
    """CelebA-HQ's test pictures, degraded by GFP-GAN's authors."""

    facts = Facts(
        "celeba-test",
        "CelebA-Test",
        "3000 pairs in two folders, hq or gt and lq or input",
        "non-commercial research (pictures of CelebA-HQ)",
        (3000,),
        "degraded",
    )


@dataclass(frozen=True)
class _Signature:
    """What speaks for a test set beside its count."""

    dataset: type[TestSet]
    called: tuple[str, ...]
    files: Callable[[Sequence[str]], bool]


def _people(names: Sequence[str]) -> bool:
    return all(_PERSON.fullmatch(stem(name)) for name in names)


def _nothing(_names: Sequence[str]) -> bool:
    return False


_SIGNATURES = (
    _Signature(LFWTest, ("lfwtest", "lfw"), _people),
    _Signature(CelebChild, ("celebchild", "celebchildtest", "child", "childtest"), _nothing),
    _Signature(WebPhoto, ("webphoto", "webphototest", "webphotos"), _nothing),
    _Signature(WiderTest, ("widertest", "wider"), _nothing),
)
TEST_SETS: tuple[type[TestSet], ...] = tuple(each.dataset for each in _SIGNATURES)


def find(folder: Folder) -> TestSet | None:
    """A test set in a folder.

    The count and the size decide; a folder's name or the files' names make it certain, and make a copy with another
    count one that is not whole.
    """
    if not folder.pictures:
        return None
    sampled = sample(folder.path, folder.pictures)
    for each in _SIGNATURES:
        counted = sampled.size == (SIDE, SIDE) and len(folder.pictures) in each.dataset.facts.counts
        named = any(plain(part.name) in each.called for part in (folder.path, *list(folder.path.parents)[:2]))
        if not counted and not (named and sampled.square):
            continue
        spoken = each.files(folder.pictures)
        evidence = [f"{len(folder.pictures):,} pictures of {SIDE} px"] if counted else []
        evidence += [f"called like it: {folder.path}"] if named else []
        evidence += ["files called like people"] if spoken else []
        return each.dataset(folder.path, folder, evidence=evidence, certain=named or spoken)
    return None


def find_pairs(folder: Folder) -> Pairs | None:
    """Two folders of degraded and original pictures, side by side in a folder."""
    originals, degraded = folder.child(*_HQ), folder.child(*_LQ)
    if originals is None or degraded is None or not (originals.pictures or degraded.pictures):
        return None
    counts = {len(originals.pictures), len(degraded.pictures)}
    named = "celebatest" in plain(str(folder.path))
    kind = CelebATest if named or counts & set(CelebATest.facts.counts) else Pairs
    evidence = [f"originals in {originals.path}", f"degraded pictures in {degraded.path}"]
    found = kind(folder.path, degraded, evidence=evidence)
    found.originals = originals
    return found
