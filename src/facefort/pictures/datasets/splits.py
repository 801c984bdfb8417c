"""Who trained and tested on which pictures: the rules of published code, as functions of a list.

A rule sees the pictures in the order of the data set's own table and gives the places that belong to a part. The lists
behind two results are the same only if their digests are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from facefort.files import sha256_bytes

Rule = Callable[[int], Sequence[int]]


@dataclass(frozen=True)
class Split:
    """One part of one published split.

    Attributes:
        name: "stargan/test".
        places: number of pictures -> places in the data set's table that belong to the part, in the rule's order.
        source: whose rule it is, and where it stands.
        count: how many there are in a whole copy.
    """

    name: str
    places: Rule
    source: str
    count: int


def _between(low: int, high: int | None = None) -> Rule:
    return lambda total: range(min(low, total), total if high is None else min(high, total))


@lru_cache(maxsize=2)
def _stargan(total: int) -> list[int]:
    """Python's shuffle from seed 1234 over the lines, as StarGAN's loader has it."""
    places = list(range(total))
    random.Random(1234).shuffle(places)
    return places


_STARGAN = "yunjey/stargan, data_loader.py: lines shuffled with random.seed(1234), i + 1 < 2000 is test"
_CMUA = "VDIGPKU/CMUA-Watermark, data.py"
_IDGUARD = "ZOMIN28/ID-Guard, data/dataset.py: the first 1000 lines are test"
_HISD = "imlixinyang/HiSD, preprocessors/celeba-hq.py: trained on lines 3002 to 30001 of the table, two of them headers"
_FFHQ = "NVlabs/ffhq-dataset: the first 60000 train, the rest validates"
_HIFACEGAN = "HiFaceGAN: 0 to 9999 train, 65000 to 69999 test"


def _table(*splits: Split) -> dict[str, Split]:
    return {split.name: split for split in splits}


CELEBA_SPLITS: Mapping[str, Split] = _table(
    Split("stargan/test", lambda n: _stargan(n)[:1999], _STARGAN, 1999),
    Split("stargan/train", lambda n: _stargan(n)[1999:], _STARGAN, 200_600),
    Split("cmua/train", _between(0, 182_000), _CMUA, 182_000),
    Split("cmua/val", _between(182_000, 182_637), _CMUA, 637),
    Split("cmua/test", _between(182_637), _CMUA, 19_962),
)
CELEBAHQ_SPLITS: Mapping[str, Split] = _table(
    Split("id-guard/test", _between(0, 1000), _IDGUARD, 1000),
    Split("id-guard/train", _between(1000), _IDGUARD, 29_000),
    Split("hisd/test", _between(0, 3000), _HISD, 3000),
    Split("hisd/train", _between(3000), _HISD, 27_000),
    Split("stargan/test", lambda n: _stargan(n)[:1999], _STARGAN, 1999),
    Split("stargan/train", lambda n: _stargan(n)[1999:], _STARGAN, 28_001),
)
FFHQ_SPLITS: Mapping[str, Split] = _table(
    Split("official/train", _between(0, 60_000), _FFHQ, 60_000),
    Split("official/val", _between(60_000, 70_000), _FFHQ, 10_000),
    Split("hifacegan/train", _between(0, 10_000), _HIFACEGAN, 10_000),
    Split("hifacegan/test", _between(65_000, 70_000), _HIFACEGAN, 5000),
)

CELEBA_PARTS = {0: "official/train", 1: "official/val", 2: "official/test"}
"""What the numbers in ``list_eval_partition`` mean."""
CELEBA_PART_COUNTS = {"official/train": 162_770, "official/val": 19_867, "official/test": 19_962}
CELEBAMASK_PART_COUNTS = {"official/train": 24_183, "official/val": 2993, "official/test": 2824}


def celebamask_part(original: int) -> str:
    """Part of a CelebAMask-HQ picture, from the number in the ``orig_idx`` column of its mapping.

    That number counts from 0, while the bounds in switchablenorms/CelebAMask-HQ, g_partition.py, are those of the file
    names, which count from 1: CelebA's own partition moves one picture at each bound. Published results use this one.
    """
    if original < 162_771:
        return "official/train"
    return "official/val" if original < 182_638 else "official/test"


def digest(keys: Iterable[str]) -> str:
    """SHA-256 of a list of pictures: their keys, one a line, in order. The same for every layout of a data set."""
    return sha256_bytes("".join(f"{key}\n" for key in keys).encode())
