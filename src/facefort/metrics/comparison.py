"""Is one model better than another? Paired comparison of scores of the same pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facefort.errors import ModelError, UsageError
from facefort.metrics.metric import Direction
from facefort.metrics.statistics import Interval, mean_ci, resampled_means
from facefort.pictures.folders import pair_by_stem

Better = Literal["a", "b", "neither"]


class PairedScore(NamedTuple):
    """Scores that two models got for one picture.

    Attributes:
        name: the picture, without its ending.
        a: score of the first model; None where it has none.
        b: score of the second model; None where it has none.
        note: what is missing, in one line; "" where nothing is.
    """

    name: str
    a: float | None
    b: float | None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """What the paired scores of one metric say.

    Attributes:
        difference: mean of a - b with its bootstrap interval; infinite differences are counted in it and left out.
        wins: pictures on which a is better.
        losses: pictures on which b is better.
        ties: pictures with equal scores; equal infinite ones too.
        unpaired: pictures that one of the models lacks.
        p_value: of the two-sided Wilcoxon signed-rank test; ties are discarded; 1 where only ties are left.
        effect: matched-pairs rank-biserial correlation, from -1 (b always better) to 1 (a always better).
        p_adjusted: the p-value after Holm's correction for the metrics compared together; ``p_value`` for one alone.
    """

    difference: Interval
    wins: int
    losses: int
    ties: int
    unpaired: int
    p_value: float
    effect: float
    p_adjusted: float

    def better(self, alpha: float = 0.05) -> Better:
        """Which model is better: "neither" unless the corrected test rejects at level ``alpha``."""
        if self.p_adjusted >= alpha or self.effect == 0:
            return "neither"
        return "a" if self.effect > 0 else "b"


def pair_scores(a: Mapping[str, float], b: Mapping[str, float]) -> list[PairedScore]:
    """Pair the scores of two models by the names of the pictures without their endings.

    Args:
        a: picture name ("00012.png") -> score of the first model.
        b: the same of the second; endings may differ.

    Returns:
        Pairs in the order of ``a``, then what only ``b`` has; a missing partner is a row that says so.

    Raises:
        UsageError: two pictures of one model differ in their endings only.
        ModelError: a score is NaN, so what made it has failed.
    """
    for side in (a, b):
        broken = [name for name, score in side.items() if math.isnan(score)]
        if broken:
            raise ModelError(f"the score of {broken[0]} is NaN ({len(broken)} in all); find and fix what made it")
    by_path_a, by_path_b = ({Path(name): score for name, score in side.items()} for side in (a, b))
    pairs, only_a, only_b = pair_by_stem(list(by_path_a), list(by_path_b))
    partner = dict(pairs)
    alone = set(only_a)
    rows = []
    for path, score in by_path_a.items():
        if path in alone:
            rows.append(PairedScore(path.stem, score, None, f"{path} has no partner in the second model's scores"))
        else:
            rows.append(PairedScore(path.stem, score, by_path_b[partner[path]]))
    for path in only_b:
        note = f"{path} has no partner in the first model's scores"
        rows.append(PairedScore(path.stem, None, by_path_b[path], note))
    return rows


def compare(
    rows: Sequence[PairedScore],
    direction: Direction,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their scores of the same pictures.

    The interval is a paired bootstrap (pictures are resampled, both scores together). An infinite score on one side
    only (the PSNR of equal pictures) is a win with the largest rank, but has no place in the mean difference.

    Args:
        rows: see :func:`pair_scores`.
        direction: which way the metric is better.
        confidence: of the interval of the mean difference.
        resamples: bootstrap samples.
        seed: of the resampling.

    Raises:
        UsageError: no picture has both scores.
    """
    paired = [(row.a, row.b) for row in rows if row.a is not None and row.b is not None]
    if not paired:
        raise UsageError("the two models share no picture; names without their endings must agree")
    differences = np.array([0.0 if a == b else a - b for a, b in paired])
    gains = differences if direction == "higher" else -differences
    finite = differences[np.isfinite(differences)]
    infinite = len(differences) - len(finite)
    if len(finite):
        mean = mean_ci(finite, confidence=confidence, resamples=resamples, seed=seed)._replace(n_infinite=infinite)
    else:
        mean = Interval(math.nan, -math.inf, math.inf, 0, infinite)
    p_value = _wilcoxon(gains)
    return Comparison(
        difference=mean,
        wins=int((gains > 0).sum()),
        losses=int((gains < 0).sum()),
        ties=int((gains == 0).sum()),
        unpaired=len(rows) - len(paired),
        p_value=p_value,
        effect=_rank_biserial(gains),
        p_adjusted=p_value,
    )


def compare_metrics(
    tables: Mapping[str, Sequence[PairedScore]],
    directions: Mapping[str, Direction],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare two models by several metrics at once, with Holm's correction over them.

    Args:
        tables: metric -> its paired scores.
        directions: metric -> which way it is better.
        resamples: bootstrap samples.
        seed: of the resampling.
    """
    alone = {name: compare(rows, directions[name], resamples=resamples, seed=seed) for name, rows in tables.items()}
    corrected = holm({name: each.p_value for name, each in alone.items()})
    return {name: Comparison(**{**each.__dict__, "p_adjusted": corrected[name]}) for name, each in alone.items()}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted by the step-down method of Holm (1979), in the order given.

    Raises:
        ModelError: a value is no probability.
    """
    for name, value in p_values.items():
        if not 0 <= value <= 1:
            raise ModelError(f"the p-value of {name} is {value}, which is no probability")
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def difference_ci(
    a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Mean of ``a`` minus mean of ``b`` of *different* pictures, with a two-sample percentile bootstrap interval.

    Of the same pictures, :func:`compare` is far sharper.

    Raises:
        UsageError: a side has no finite score.
        ModelError: a score is NaN or -inf.
    """
    means = [mean_ci(side, confidence=confidence, resamples=1, seed=seed) for side in (a, b)]
    finite = [np.asarray([score for score in side if math.isfinite(score)]) for side in (a, b)]
    if not all(len(side) for side in finite):
        raise UsageError("a side has infinite scores only, which have no mean to subtract")
    seeds = np.random.SeedSequence(seed).spawn(2)
    first, second = (resampled_means(side, resamples, each) for side, each in zip(finite, seeds, strict=True))
    tail = (1 - confidence) / 2
    low, high = np.quantile(first - second, (tail, 1 - tail))
    n, infinite = (sum(getattr(each, key) for each in means) for key in ("n", "n_infinite"))
    return Interval(means[0].mean - means[1].mean, float(low), float(high), n, infinite)


def _wilcoxon(gains: NDArray[np.float64]) -> float:
    """Two-sided p-value; exact for small samples without equal ranks, as SciPy decides."""
    moved = _ranked(gains)
    if not len(moved):
        return 1.0
    from scipy.stats import wilcoxon  # a second to import

    return float(wilcoxon(moved).pvalue)


def _rank_biserial(gains: NDArray[np.float64]) -> float:
    """Share of the rank sum that speaks for a, minus the share that speaks for b (Kerby 2014)."""
    moved = _ranked(gains)
    if not len(moved):
        return 0.0
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(moved))
    return float((ranks[moved > 0].sum() - ranks[moved < 0].sum()) / ranks.sum())


def _ranked(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gains without ties; infinite ones get a finite value beyond all others, which keeps their rank."""
    moved = gains[gains != 0]
    finite = np.abs(moved[np.isfinite(moved)])
    beyond = 2 * finite.max() + 1 if len(finite) else 1.0
    return np.clip(moved, -beyond, beyond)
