"""What a metric of a whole set of pictures is: one number for a folder, against a named reference set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from facefort.errors import PictureError, UsageError
from facefort.metrics.metric import Direction, check_pictures
from facefort.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Features = NDArray[np.float64]

Interval = Literal["jackknife", "bootstrap", "none"]

FEWEST = 2
"""Pictures below which a set has no spread."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (D,) and covariance (D, D) of a set's features: what a statistics file holds."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, features: Features) -> Moments:
        """Moments of features (N, D), the covariance over N - 1."""
        return cls(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))


@dataclass(frozen=True, eq=False)
class Reference:
    """The set that pictures are compared with.

    Attributes:
        name: what a result calls it: a folder's or a file's own name, never a path.
        content: features of every picture, or their moments where only those are known.
        count: pictures; None where a statistics file does not say.
        digest: SHA-256 of the list of files with their content, or of the statistics file.
        size: (width, height) of the pictures where it is known.
    """

    name: str
    content: Features | Moments
    count: int | None
    digest: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class SetScore:
    """A metric of a set, with everything that a reader must know to compare it.

    Attributes:
        metric: name, which carries the variant.
        value: the number.
        low: lower end of the confidence interval at this number of pictures; NaN where none was asked for, or there
            are too few pictures for one.
        high: upper end.
        bias: how far the value is estimated to lie above that of endless pictures; NaN likewise.
        count: pictures of the set.
        reference: name of the reference set.
        reference_count: its pictures; None where unknown.
        reference_digest: SHA-256 of what the reference was made from.
        warnings: what stands in the way of comparing the number.
    """

    metric: str
    value: float
    low: float
    high: float
    bias: float
    count: int
    reference: str
    reference_count: int | None
    reference_digest: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetMetric:
    """One number per set of pictures, with everything that a reader must know to compare it.

    Attributes:
        name: the name, which carries the variant: "fid-clean".
        direction: which way is better.
        range: smallest and largest possible value.
        variant: one line that fixes the definition.
        reference: the implementation that it is tested against.
        features: (N, 3, H, W) RGB in [0, 1] -> (N, D) float64; sets are read batch by batch, only features are kept.
        compare: features of the set, and features or moments of the reference set -> the number.
        replicate: features of the set, content of the reference, counts (B, N) of how often each of B sets holds each
            picture -> the number of each of those sets, (B,).
        enough: pictures below which the number is biased so far that a warning is due.
        unit: "" for a bare number.
        needs_features: whether moments are not enough of a reference.
        reference_sha256: beginning of the SHA-256 of the one statistics file that the name stands for; "" for any.
    """

    name: str
    direction: Direction
    range: tuple[float, float]
    variant: str
    reference: str
    features: Callable[[Tensor], Features] = field(repr=False)
    compare: Callable[[Features, Features | Moments], float] = field(repr=False)
    replicate: Callable[[Features, Features | Moments, NDArray[np.int64]], NDArray[np.float64]] = field(repr=False)
    enough: int = 2048
    unit: str = ""
    needs_features: bool = False
    reference_sha256: str = ""

    def collect(self, batches: Iterable[Tensor]) -> Features:
        """Features of a set that comes batch by batch, (N, D).

        Args:
            batches: (n, 3, H, W) RGB in [0, 1] each, all of one size.

        Raises:
            PictureError: not such a batch, NaN, or pictures of several sizes.
        """
        rows: list[Features] = []
        size: tuple[int, ...] = ()
        for batch in batches:
            check_pictures(self.name, batch, "pictures")
            if size and tuple(batch.shape[2:]) != size:
                raise PictureError(
                    f"{self.name} needs pictures of one size, not {size[1]} x {size[0]} and {batch.shape[3]} x "
                    f"{batch.shape[2]}; bring them to one size first"
                )
            size = tuple(batch.shape[2:])
            rows.append(self.features(batch))
        return np.concatenate(rows) if rows else np.empty((0, 0))

    def score(
        self,
        features: Features,
        reference: Reference,
        *,
        interval: Interval = "jackknife",
        groups: int = 50,
        resamples: int = 200,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> SetScore:
        """Compare a set with a reference, with an interval over the set's pictures.

        The interval says what other pictures of the same source would have given *at this number of pictures*; the
        reference is held. "jackknife" deals the set at random into groups and measures it without each of them in turn
        (Quenouille 1949, Tukey 1958), which also estimates the bias. "bootstrap" draws sets with replacement (Efron
        1979) and takes the spread of their numbers around the number itself; around their own mean they would lie far
        off, because a distance between distributions takes pictures drawn twice for a loss of variety. For FID it is
        1.4 to 4 times too wide all the same (``benchmarks/distribution_cost.py``).

        Args:
            features: of the set, from :meth:`collect`.
            reference: what to compare with.
            interval: "jackknife", "bootstrap", or "none".
            groups: of the jackknife, at most; 0 leaves the interval out.
            resamples: sets that the bootstrap draws.
            confidence: part of intervals that would hold the value.
            seed: of the dealing and the drawing; equal input and seed give equal output.

        Raises:
            PictureError: fewer than two pictures on either side, or features that are not numbers.
            UsageError: a reference of the wrong kind, another file than the name stands for, or a confidence outside
                (0, 1).
        """
        self._check(features, reference)
        if not 0 < confidence < 1:
            raise UsageError(f"a confidence lies between 0 and 1, for instance 0.95, not {confidence}")
        value = self.compare(features, reference.content)
        below = above = bias = float("nan")
        if interval == "jackknife" and groups > 1 and len(features) > FEWEST:
            above, bias = self._jackknife(features, reference, value, groups, confidence, seed)
            below = -above
        elif interval == "bootstrap" and len(features) > FEWEST:
            below, above = self._bootstrap(features, reference, resamples, confidence, seed)
        return SetScore(
            self.name,
            value,
            max(value + below, self.range[0]) if math.isfinite(below) else below,
            value + above,
            bias,
            len(features),
            reference.name,
            reference.count,
            reference.digest,
            self._warnings(len(features), reference),
        )

    def _jackknife(
        self, features: Features, reference: Reference, value: float, groups: int, confidence: float, seed: int
    ) -> tuple[float, float]:
        """How far the interval reaches to either side, and the bias."""
        left_out = _groups(len(features), groups, seed)
        without = self.replicate(features, reference.content, 1 - left_out)
        size = int(left_out[0].sum())
        factor = (len(features) - size) / size
        deviation = float(np.sqrt(factor * np.square(without - without.mean()).mean()))
        reach = float(stats.t.ppf((1 + confidence) / 2, len(without) - 1)) * deviation
        return reach, factor * (float(without.mean()) - value)

    def _bootstrap(
        self, features: Features, reference: Reference, resamples: int, confidence: float, seed: int
    ) -> tuple[float, float]:
        """Where the interval begins and ends, seen from the value."""
        count = len(features)
        counts = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
        drawn = self.replicate(features, reference.content, counts)
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn - drawn.mean(), (tail, 1 - tail))
        return float(low), float(high)

    def _check(self, features: Features, reference: Reference) -> None:
        for rows, what in ((features, "pictures"), (reference.content, f"reference pictures ({reference.name})")):
            if isinstance(rows, Moments):
                continue
            if len(rows) < FEWEST:
                raise PictureError(f"{self.name} compares sets; give at least {FEWEST} {what}, not {len(rows)}")
            if not np.isfinite(rows).all():
                raise PictureError(f"{self.name} has features of {what} that are not numbers; what made them failed")
        if isinstance(reference.content, Moments):
            if self.needs_features:
                raise UsageError(
                    f"{self.name} compares picture by picture, and {reference.name} holds only mean and covariance; "
                    "give the reference pictures"
                )
            width = len(reference.content.mean)
        else:
            width = reference.content.shape[1]
        if width != features.shape[1]:
            raise UsageError(
                f"{self.name} has {features.shape[1]} numbers per picture and {reference.name} {width}; "
                "the statistics are of another network"
            )
        if not reference.digest.startswith(self.reference_sha256):
            raise UsageError(
                f"{self.name} stands for one file, whose SHA-256 begins with {self.reference_sha256}; "
                f"{reference.name} is another: use fid"
            )

    def _warnings(self, count: int, reference: Reference) -> tuple[str, ...]:
        told = []
        for number, whose in ((count, "the set"), (reference.count, f"the reference {reference.name}")):
            if number is not None and number < self.enough:
                told.append(
                    f"{self.name}: {whose} has {number} pictures, fewer than {self.enough}; "
                    "compare only with results of as many pictures and the same reference"
                )
        return tuple(told)


def _groups(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Who is in each of at most ``most`` groups, (groups, count) of 0 and 1.

    The groups are of one size, because a distance of sets depends on how many pictures are left; what remains of
    ``count`` is in none of them.
    """
    size = -(-count // most)
    dealt = np.random.default_rng(seed).permutation(count) // size
    return (dealt == np.arange(count // size)[:, None]).astype(np.int64)


SET_METRICS: Registry[SetMetric] = Registry("set metric")
"""Every metric of sets; facts: ``direction``, the ``weights`` it needs fetched, and ``cost_ms``, the CPU time of the
features of a 512 px picture on one thread (`benchmarks/distribution_cost.py`)."""

_INCEPTION = {"direction": "lower", "weights": ("inception-fid",)}
_COST, _CLEAN_COST = 75, 80
SET_METRICS.add("fid", "facefort.metrics.distribution:FID", cost_ms=_COST, **_INCEPTION)
SET_METRICS.add("fid-ffhq512", "facefort.metrics.distribution:FID_FFHQ512", cost_ms=_COST, **_INCEPTION)
SET_METRICS.add("fid-clean", "facefort.metrics.distribution:FID_CLEAN", cost_ms=_CLEAN_COST, **_INCEPTION)
SET_METRICS.add("kid", "facefort.metrics.distribution:KID", cost_ms=_COST, **_INCEPTION)
SET_METRICS.add("kid-clean", "facefort.metrics.distribution:KID_CLEAN", cost_ms=_CLEAN_COST, **_INCEPTION)


def set_metric(name: str) -> SetMetric:
    """The metric of sets called ``name``.

    Raises:
        UnknownNameError: nothing has that name.
    """
    return SET_METRICS.get(name)
