"""What an audit found, in sentences: computed from the rows alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from facefort.audit.measure import INPUT, INPUT_IDENTITY
from facefort.audit.plan import CONTROL, QUALITY
from facefort.metrics.security.consistency import CAP_DB, robustness_area
from facefort.metrics.statistics import Interval, mean_ci
from facefort.models.judges.dlib_resnet import DlibResNet
from facefort.runs import Row, RunFolder

Severity = Literal["good", "note", "warning", "bad"]

BROKEN_DB = 20.0
"""Mean psnr-cc below which the restorations of the clean and of the attacked input are different pictures."""
SMALL, LARGE = 2 / 255, 8 / 255
"""Budgets up to which a change is hard to see, and from which it is easy to see."""
MASKED_DB = 1.0
"""An attack that is not worse than noise by this much did not find the way."""


@dataclass(frozen=True)
class Finding:
    """One result in words.

    Attributes:
        title: a short statement.
        detail: the numbers behind it, means with 95 % intervals.
        severity: "good", "note", "warning" or "bad".
    """

    title: str
    detail: str
    severity: Severity


@dataclass
class Curve:
    """What one objective in one region did.

    Attributes:
        label: how it is called in sentences.
        texts: budget -> its spelling.
        values: measure -> budget -> face -> value.
    """

    label: str
    texts: dict[float, str] = field(default_factory=dict)
    values: dict[str, dict[float, dict[str, float]]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take a finished row of the robustness cells."""
        self.texts[row.values["eps"]] = row.values["eps_text"]
        for name in ("psnr-cc", "identity-cc"):
            if name in row.values:
                self.values.setdefault(name, {}).setdefault(row.values["eps"], {})[row.unit] = row.values[name]

    def first(self, name: str, crossed: Callable[[float], bool]) -> tuple[float, Interval] | None:
        """Smallest budget at which the mean of a measure satisfies a condition, and that mean."""
        for eps in sorted(self.values.get(name, {})):
            mean = mean_ci(_capped(self.values[name][eps].values()))
            if crossed(mean.mean):
                return eps, mean
        return None


def findings(run: RunFolder) -> list[Finding]:
    """The results of an audit; the first three are quality, identity and robustness where they were measured."""
    quality: dict[str, list[float]] = {}
    curves: dict[tuple[str, str], Curve] = {}
    for row in run.rows():
        if row.status != "done":
            continue
        if row.cell == QUALITY:
            for name, value in row.values.items():
                quality.setdefault(name, []).append(value)
        else:
            key = row.values["objective"], row.values["region"]
            curves.setdefault(key, Curve(f"{key[0]} ({key[1]})")).add(row)
    attacks = {key: curve for key, curve in curves.items() if key[0] != CONTROL}
    found = [_quality(quality), _identity(quality), _stability(list(attacks.values())), _person(list(attacks.values()))]
    for (_, region), curve in attacks.items():
        found.append(_area(curve))
        if (CONTROL, region) in curves:
            found.append(_masked(curve, curves[CONTROL, region]))
    return [finding for finding in (*found, _failures(run)) if finding is not None]


def _quality(values: Mapping[str, list[float]]) -> Finding | None:
    """Paired change against the degraded input; the perceptual distance decides, fidelity is told with it."""
    if "lpips-alex" not in values:
        return None
    change = mean_ci(_changes(values, "lpips-alex"))
    detail = f"Restoring changes lpips-alex by {_interval(change, 3)} (less is nearer) over {_faces(change.n)}"
    fidelity = [gain for gain in _changes(values, "psnr-rgb") if math.isfinite(gain)]
    detail += f", and psnr-rgb by {_interval(mean_ci(fidelity), 2)} dB." if fidelity else "."
    if change.high < 0:
        return Finding("Restoration brings the faces nearer to the truth", detail, "good")
    if change.low > 0:
        return Finding("Restoration takes the faces farther from the truth", detail, "bad")
    return Finding("No gain from restoration can be told", detail, "warning")


def _identity(values: Mapping[str, list[float]]) -> Finding | None:
    """Whether the person stays the person, as the recogniser sees it."""
    limit = DlibResNet.threshold
    if INPUT_IDENTITY in values:
        distance, same = mean_ci(values[INPUT_IDENTITY]), _share(values[INPUT_IDENTITY])
        detail = (
            f"The recogniser takes input and restored face for one person in {same:.0%} of {_faces(distance.n)}; "
            f"identity-dlib is {_interval(distance, 3)}, threshold {limit}."
        )
        if same < 0.95:
            return Finding("Some restored faces are no longer the person", detail, "bad" if same < 0.8 else "warning")
        return Finding("Restored faces are still the person", detail, "good")
    if "identity-dlib" not in values:
        return None
    change = mean_ci(_changes(values, "identity-dlib"))
    before, after = _share(values[f"{INPUT}identity-dlib"]), _share(values["identity-dlib"])
    detail = (
        f"The recogniser finds the true person in {after:.0%} of the restored faces and in {before:.0%} of the "
        f"degraded ones; restoring changes identity-dlib by {_interval(change, 3)} (less is nearer, threshold {limit})."
    )
    if change.low > 0:
        return Finding("Restoration loses identity", detail, "bad" if after < before else "warning")
    if change.high < 0:
        return Finding("Restoration wins identity back", detail, "good")
    return Finding("Restoration neither loses nor wins identity", detail, "note")


def _stability(attacks: Sequence[Curve]) -> Finding | None:
    """Smallest budget of any attack that makes another picture of the restoration."""
    if not attacks:
        return None
    hits = [(hit, curve) for curve in attacks if (hit := curve.first("psnr-cc", lambda mean: mean < BROKEN_DB))]
    if not hits:
        largest = max((eps, text) for curve in attacks for eps, text in curve.texts.items())[1]
        return Finding(
            "The restoration holds under attack",
            f"Up to the largest budget tried, {largest}, the mean psnr-cc stays at {BROKEN_DB:g} dB or above.",
            "good",
        )
    (eps, mean), curve = min(hits, key=lambda hit: hit[0][0])
    return Finding(
        f"A change of {curve.texts[eps]} breaks the restoration",
        f"At {curve.texts[eps]}, {curve.label} brings psnr-cc, between the restorations of the clean and of the "
        f"attacked input, to {_interval(mean, 2)} dB, below {BROKEN_DB:g} dB.",
        _severity(eps),
    )


def _person(attacks: Sequence[Curve]) -> Finding | None:
    """Smallest budget of any attack that makes another person of the restoration."""
    limit = DlibResNet.threshold
    measured = [curve for curve in attacks if "identity-cc" in curve.values]
    if not measured:
        return None
    hits = [(hit, curve) for curve in measured if (hit := curve.first("identity-cc", lambda mean: mean > limit))]
    if not hits:
        detail = f"At every budget tried, the mean identity-cc stays within the recogniser's threshold of {limit}."
        return Finding("The person survives the attacks", detail, "good")
    (eps, mean), curve = min(hits, key=lambda hit: hit[0][0])
    return Finding(
        f"A change of {curve.texts[eps]} turns the restored face into somebody else",
        f"At {curve.texts[eps]}, {curve.label} brings identity-cc to {_interval(mean, 3)}, beyond the recogniser's "
        f"threshold of {limit}.",
        _severity(eps),
    )


def _area(curve: Curve) -> Finding | None:
    """One number per attack: mean psnr-cc over the budgets from 0, capped, per face, then over faces."""
    by_eps = curve.values.get("psnr-cc", {})
    budgets = sorted(eps for eps in by_eps if eps > 0)
    if not budgets:
        return None
    whole = set.intersection(*(set(by_eps[eps]) for eps in budgets))
    if not whole:
        return None
    areas = [robustness_area({eps: by_eps[eps][face] for eps in budgets}, CAP_DB) for face in sorted(whole)]
    mean = mean_ci(areas)
    detail = (
        f"The area under psnr-cc from 0 to {curve.texts[budgets[-1]]}, capped at {CAP_DB:g} dB and divided by the "
        f"range, is {_interval(mean, 2)} dB over {_faces(mean.n)}."
    )
    return Finding(f"Robustness against {curve.label}: {mean.mean:.1f} dB", detail, "note")


def _masked(curve: Curve, control: Curve) -> Finding | None:
    """An attack no better than noise says something of the attack, not of the model."""
    shared = sorted(set(curve.values.get("psnr-cc", {})) & set(control.values.get("psnr-cc", {})) - {0.0})
    if not shared:
        return None
    eps = shared[-1]
    attacked, noisy = (mean_ci(_capped(one.values["psnr-cc"][eps].values())) for one in (curve, control))
    if attacked.mean < noisy.mean - MASKED_DB:
        return None
    return Finding(
        f"{curve.label} does no more than noise",
        f"At {curve.texts[eps]} it leaves psnr-cc at {_interval(attacked, 2)} dB, random noise of that budget at "
        f"{_interval(noisy, 2)} dB: the gradient may be masked, or noise comes close to the worst case; "
        "a weak attack is no proof of robustness.",
        "warning",
    )


def _failures(run: RunFolder) -> Finding | None:
    counts = run.info["counts"]
    if not counts["failed"]:
        return None
    reason = next(row.reason for row in run.rows() if row.status == "failed")
    detail = f"{counts['failed']} of {counts['failed'] + counts['done']} measurements failed; the first: {reason}"
    return Finding("Some measurements failed", detail, "bad")


def _severity(eps: float) -> Severity:
    if eps <= SMALL + 1e-9:
        return "bad"
    return "warning" if eps <= LARGE + 1e-9 else "note"


def _changes(values: Mapping[str, list[float]], name: str) -> list[float]:
    """Restored minus input, face by face."""
    pairs = zip(values[name], values[INPUT + name], strict=True)
    return [after - before for after, before in pairs]


def _capped(values: Iterable[float]) -> list[float]:
    """Values with an upper end, which the infinite PSNR of equal pictures needs to have a mean."""
    return [min(value, CAP_DB) for value in values]


def _share(distances: Sequence[float]) -> float:
    return float(np.mean(np.array(distances) <= DlibResNet.threshold))


def _interval(value: Interval, digits: int) -> str:
    if not math.isfinite(value.low):
        return f"{value.mean:.{digits}f}"
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _faces(count: int) -> str:
    return f"{count} face" if count == 1 else f"{count} faces"
