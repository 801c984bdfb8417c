"""Training batches that depend on nothing but the seed and the step, so that a resumed run sees what it would have."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.errors import FacefortError, TrainingError
from facefort.faces.regions import part_labels
from facefort.files import atomic
from facefort.pictures.degrade import degrade
from facefort.pictures.folders import expand
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import from_bytes, round_to_8_bits
from facefort.runtime import generator
from facefort.training.recipe import DataSettings


class FaceBank:
    """Aligned faces held in memory as bytes, (N, T, T, 3).

    They are kept at twice the training size, so that shifts and scales of the augmentation do not blur them.

    Args:
        files: pictures of aligned, square faces.
        size: training size in pixels.
        bad_limit: share of unreadable files that is tolerated.

    Raises:
        TrainingError: no faces, or more unreadable ones than the limit; the message names some.
    """

    def __init__(self, files: Sequence[Path], size: int, bad_limit: float = 0.0) -> None:
        self.size = size
        with ThreadPoolExecutor(4) as pool:
            loaded = list(pool.map(lambda file: _load(file, 2 * size), files))
        self.failed = [f"{file.name}: {why}" for file, why in zip(files, loaded, strict=True) if isinstance(why, str)]
        good = [picture for picture in loaded if not isinstance(picture, str)]
        self.names = [file.stem for file, picture in zip(files, loaded, strict=True) if not isinstance(picture, str)]
        if not good:
            raise TrainingError("no readable faces to train on; give a folder of aligned faces in data.faces")
        if len(self.failed) > bad_limit * len(files):
            shown = "; ".join(self.failed[:3])
            raise TrainingError(f"{len(self.failed)} of {len(files)} training pictures cannot be read ({shown})")
        self.pictures = np.stack(good)
        self.file: Path | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def keep(self, file: Path) -> None:
        """Move the pictures into a file that other processes read too, instead of each holding its own."""
        with atomic(file) as stream:
            np.save(stream, self.pictures)
        self.file = file
        self.pictures = np.load(file, mmap_mode="r", allow_pickle=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **({"pictures": None} if self.file else {})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.file:
            self.pictures = np.load(self.file, mmap_mode="r", allow_pickle=False)


class Batches:
    """Batch number k of a run: clean faces and degraded faces, (B, 3, S, S) each, 8-bit values in [0, 1].

    Args:
        bank: the faces.
        settings: augmentation and degradation.
        seed: the run's seed.
        batch: faces per step over all processes.
        rank: this process.
        world: number of processes; each gets every world-th face of the batch.
    """

    def __init__(
        self, bank: FaceBank, settings: DataSettings, seed: int, batch: int, rank: int = 0, world: int = 1
    ) -> None:
        self.bank = bank
        self.settings = settings
        self.seed = seed
        self.batch = batch
        self.rank = rank
        self.world = world

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        cv2.setNumThreads(1)
        clean, degraded = [], []
        for slot in range(self.rank, self.batch, self.world):
            ticket = step * self.batch + slot
            face = self._face(ticket)
            clean.append(face)
            degraded.append(self._degraded(face, ticket))
        return torch.cat(clean), torch.cat(degraded)

    def _place(self, ticket: int) -> int:
        """Number in the bank of the face that a ticket draws: every face once an epoch."""
        epoch, place = divmod(ticket, len(self.bank))
        order = torch.randperm(len(self.bank), generator=generator("order", self.seed, epoch))
        return int(order[place])

    def _face(self, ticket: int) -> Tensor:
        picture, numbers = self._placed(self.bank.pictures[self._place(ticket)], ticket, cv2.INTER_CUBIC)
        face = F.avg_pool2d(from_bytes(picture[None]), 2)
        if self.settings.sharpen:
            face = _sharpened(face, self.settings.sharpen, generator("sharpen", self.seed, ticket))
        if self.settings.colour:
            face = _recoloured(face, self.settings.colour, numbers)
        return round_to_8_bits(face)

    def _placed(self, picture: np.ndarray, ticket: int, interpolation: int) -> tuple[np.ndarray, torch.Generator]:
        """A picture or a map of labels (T, T, ...) mirrored, moved and warped, and the generator as that left it."""
        settings, numbers = self.settings, generator("augment", self.seed, ticket)
        if settings.flip and torch.rand(1, generator=numbers).item() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        if settings.jitter or settings.warp:
            places = _identity(picture.shape[0])
            if settings.warp:
                places = places + _warp(picture.shape[0], settings.warp, generator("warp", self.seed, ticket))
            if settings.jitter:
                places = _move(places, settings.jitter, numbers)
            # From [-1, 1] to pixels whose centres are whole numbers.
            pixels = ((places + 1) * picture.shape[0] - 1) / 2
            picture = cv2.remap(picture, pixels[..., 0], pixels[..., 1], interpolation, borderMode=cv2.BORDER_REFLECT)
        return picture, numbers

    def _degraded(self, face: Tensor, ticket: int) -> Tensor:
        numbers = generator("kind", self.seed, ticket)
        if torch.rand(1, generator=numbers).item() < self.settings.clean_share:
            return face
        presets = self.settings.presets
        preset = presets[int(torch.randint(len(presets), (1,), generator=numbers))]
        return degrade(face, preset, seed=self.seed, names=[f"train-{ticket}"]).pictures


class LabelledBatches(Batches):
    """Batches for a parser: in place of the clean faces the part that each pixel shows, (B, 1, S, S) class numbers.

    The labels are drawn once, from the landmarks of the undegraded faces, and kept in the run folder.

    Args:
        cache: file that keeps the labels of the bank's faces.
        mirrored: for each class the number of its mirror image.
    """

    def __init__(self, base: Batches, cache: Path, mirrored: Sequence[int]) -> None:
        super().__init__(base.bank, base.settings, base.seed, base.batch, base.rank, base.world)
        self.labels = _labels(base.bank, cache)
        self.mirrored = torch.tensor(mirrored, dtype=torch.uint8)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        cv2.setNumThreads(1)
        labels, degraded = [], []
        for slot in range(self.rank, self.batch, self.world):
            ticket = step * self.batch + slot
            labels.append(self._labels_of(ticket))
            degraded.append(self._degraded(self._face(ticket), ticket))
        return torch.cat(labels), torch.cat(degraded)

    def _labels_of(self, ticket: int) -> Tensor:
        """The labels of a face, flipped and moved as the face itself is."""
        moved, _ = self._placed(self.labels[self._place(ticket)], ticket, cv2.INTER_NEAREST)
        labels = torch.from_numpy(moved[::2, ::2])[None, None]
        flipped = self.settings.flip and torch.rand(1, generator=generator("augment", self.seed, ticket)).item() < 0.5
        return (self.mirrored[labels.long()] if flipped else labels).float()


class CodedBatches(Batches):
    """Batches for a prior: clean faces, and in place of the degraded ones their codes, (B, D, 1, 1).

    Args:
        codes: of the bank's faces, (N, D).

    Raises:
        TrainingError: the faces are to be changed, after which the codes would not be theirs.
    """

    def __init__(self, base: Batches, codes: Tensor) -> None:
        super().__init__(base.bank, base.settings, base.seed, base.batch, base.rank, base.world)
        settings = base.settings
        if settings.flip or settings.jitter or settings.warp or settings.colour:
            raise TrainingError(
                "a code stands for a face as it is; set flip, jitter, warp and colour of data to nothing"
            )
        self.codes = codes

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        cv2.setNumThreads(1)
        tickets = range(step * self.batch + self.rank, (step + 1) * self.batch, self.world)
        clean = torch.cat([self._face(ticket) for ticket in tickets])
        return clean, self.codes[[self._place(ticket) for ticket in tickets], :, None, None]


def seeds_of(names: Sequence[str]) -> list[int]:
    """The seeds that generated faces are called by ("000123", "synthetic-000123").

    Raises:
        TrainingError: a name does not end in a number.
    """
    found = [re.search(r"(\d+)$", name) for name in names]
    if not all(found):
        odd = names[found.index(None)]
        raise TrainingError(f"a prior learns from generated faces, which are called by their seeds; {odd} is not")
    return [int(match[1]) for match in found if match]


def _labels(bank: FaceBank, cache: Path) -> np.ndarray:
    """Labels (N, 2S, 2S) of the bank's faces, from the cache where it holds as many."""
    if cache.exists():
        kept = np.load(cache, allow_pickle=False)
        if kept.shape == bank.pictures.shape[:3]:
            return kept
    cv2.setNumThreads(1)
    side = bank.pictures.shape[1]
    drawn = np.zeros(bank.pictures.shape[:3], np.uint8)
    for place, picture in enumerate(bank.pictures):
        # Landmarks and hair are found on a face of at least 256 px.
        big = cv2.resize(picture, (max(side, 256),) * 2, interpolation=cv2.INTER_CUBIC)
        found = part_labels(big.astype(np.float32) / 255)
        drawn[place] = cv2.resize(found, (side, side), interpolation=cv2.INTER_NEAREST)
    with atomic(cache) as stream:
        np.save(stream, drawn)
    return drawn


def prefetched(
    batches: Batches, first: int, last: int, ahead: int = 4, workers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches ``first`` to ``last`` - 1 in order, drawn a little ahead: in two threads, or in ``workers`` processes.

    Processes are spawned, because one that is forked after torch or OpenCV have started their threads can wait for a
    lock for ever. They pay where a network is faster than two threads can draw, at some 150 faces a second.
    """
    ahead = max(ahead, 2 * workers)
    with _pool(batches, workers) as (pool, draw):
        waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
        try:
            for step in range(first, last + ahead):
                if step < last:
                    waiting.append(pool.submit(draw, step))
                if len(waiting) > ahead or step >= last:
                    if not waiting:
                        return
                    clean, degraded = waiting.popleft().result()
                    yield torch.as_tensor(clean), torch.as_tensor(degraded)
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _pool(batches: Batches, workers: int) -> Iterator[tuple[Executor, Callable[[int], Any]]]:
    if not workers:
        with ThreadPoolExecutor(2, "batches") as threads:
            yield threads, batches.__getitem__
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _adopt, (batches,)) as processes:
        yield processes, _drawn


_adopted: Batches | None = None
"""In a worker process: what it draws from."""


def _adopt(batches: Batches) -> None:
    global _adopted
    _adopted = batches
    torch.set_num_threads(1)


def _drawn(step: int) -> tuple[np.ndarray, ...]:
    assert _adopted is not None
    return tuple(part.numpy() for part in _adopted[step])


def training_files(source: str) -> list[Path]:
    """Files of a training folder or glob, or of several joined by "+", sorted.

    Raises:
        TrainingError: nothing is named.
    """
    if not source:
        raise TrainingError("no training faces; set data.faces to a folder of aligned faces")
    return expand([part.strip() for part in source.split("+")])


def _load(file: Path, size: int) -> np.ndarray | str:
    try:
        pixels = Photo.read(file).pixels
    except FacefortError as error:
        return str(error)
    if pixels.shape[0] != pixels.shape[1]:
        return f"not square ({pixels.shape[1]} x {pixels.shape[0]})"
    shrinks = pixels.shape[0] > size
    resized = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.clip(np.rint(resized * 255), 0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _identity(side: int) -> np.ndarray:
    """Where each pixel lies, (T, T, 2) as (x, y) in [-1, 1] from edge to edge."""
    centres = (2 * np.arange(side, dtype=np.float32) + 1) / side - 1
    return np.stack(np.meshgrid(centres, centres), axis=2)


def _move(places: np.ndarray, amount: float, numbers: torch.Generator) -> np.ndarray:
    """Shift by up to +-amount of the side, scale by up to 1 +- amount, turn by up to +-amount radians."""
    shift_x, shift_y, zoom, turn = (torch.rand(4, generator=numbers) * 2 - 1).mul(amount).tolist()
    cos, sin = math.cos(turn) * (1 + zoom), math.sin(turn) * (1 + zoom)
    matrix = np.array([[cos, sin], [-sin, cos]], np.float32)
    return places @ matrix + np.array([2 * shift_x, 2 * shift_y], np.float32)


def _warp(side: int, amount: float, numbers: torch.Generator) -> np.ndarray:
    """A smooth deformation (T, T, 2): 6 x 6 shifts of standard deviation ``amount`` of the side, interpolated."""
    shifts = torch.randn(2, 6, 6, generator=numbers).numpy() * (2 * amount)
    weights = _bicubic(6, side)
    return np.moveaxis(weights @ shifts @ weights.T, 0, 2)


@lru_cache(maxsize=2)
def _bicubic(knots: int, side: int) -> np.ndarray:
    """Weights (T, K) by which each of T places along a side sees K knots that reach from end to end."""
    unit = torch.eye(knots)[None, None]
    seen = F.interpolate(unit, size=(side, knots), mode="bicubic", align_corners=True)
    return seen[0, 0].numpy()


def _sharpened(picture: Tensor, amount: float, numbers: torch.Generator) -> Tensor:
    """Add up to ``amount`` of what a small blur takes away, or take up to a third of it."""
    strength = amount * (4 / 3 * torch.rand(1, generator=numbers).item() - 1 / 3)
    blurred = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (picture + strength * (picture - blurred)).clamp(0, 1)


def _recoloured(picture: Tensor, amount: float, numbers: torch.Generator) -> Tensor:
    """Multiply brightness, contrast and saturation by 1 +- amount and tint by +-amount / 4."""
    brightness, contrast, saturation = (1 + amount * (torch.rand(3, generator=numbers) * 2 - 1)).tolist()
    tint = 1 + amount / 4 * (torch.rand(1, 3, 1, 1, generator=numbers) * 2 - 1)
    picture = picture * brightness * tint
    mean = picture.mean()
    picture = mean + contrast * (picture - mean)
    grey = picture.mean(1, keepdim=True)
    return (grey + saturation * (picture - grey)).clamp(0, 1)
