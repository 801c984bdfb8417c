"""The sentences of a verdict, from rows whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from facefort.audit import Finding, findings
from facefort.runs import RunFolder

FACES = [f"{i}" for i in range(8)]
BUDGETS = {"1/255": 1 / 255, "2/255": 2 / 255, "8/255": 8 / 255}


def quality(lpips: tuple[float, float], psnr: tuple[float, float], identity: tuple[float, float]) -> list[dict]:
    """Rows of quality; every pair is (input, restored), spread a little over the faces."""
    pairs = {"lpips-alex": lpips, "psnr-rgb": psnr, "identity-dlib": identity}
    rows = []
    for i in range(len(FACES)):
        spread = 1 + 0.01 * (i % 3)
        row = {f"input.{name}": before for name, (before, _) in pairs.items()}
        rows.append(row | {name: after * spread for name, (_, after) in pairs.items()})
    return rows


GOOD = quality((0.4, 0.15), (22.0, 26.0), (0.7, 0.4))


def audit(
    path: Path,
    rows: list[dict] = GOOD,
    attacks: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    failed: int = 0,
) -> list[Finding]:
    """Findings of a run with these rows; attacks are objective -> budget -> (psnr-cc, identity-cc)."""
    with RunFolder.open(path / "run", verb="audit", settings={}, provenance={}) as run:
        for face, values in zip(FACES, rows, strict=True):
            run.add("quality", face, values)
        for objective, curve in (attacks or {}).items():
            for text, (psnr, identity) in curve.items():
                for i, face in enumerate(FACES):
                    facts = {"objective": objective, "region": "full", "eps": BUDGETS[text], "eps_text": text}
                    numbers = {"psnr-cc": psnr + 0.1 * (i % 3), "identity-cc": identity}
                    run.add(f"{objective} full eps={text}", face, facts | numbers)
        for i in range(failed):
            run.add("quality", f"bad{i}", {}, status="failed", reason="returned NaN")
    return findings(run)


STEADY = {"1/255": (45.0, 0.05), "2/255": (40.0, 0.1), "8/255": (30.0, 0.3)}
SHAKY = {"1/255": (30.0, 0.1), "2/255": (18.0, 0.5), "8/255": (9.0, 0.9)}
NOISE = {"1/255": (48.0, 0.02), "2/255": (44.0, 0.04), "8/255": (38.0, 0.1)}


def test_a_good_restorer(tmp_path: Path) -> None:
    found = audit(tmp_path, attacks={"pix_self": STEADY, "random": NOISE})
    assert [(one.title, one.severity) for one in found] == [
        ("Restoration brings the faces nearer to the truth", "good"),
        ("Restoration wins identity back", "good"),
        ("The restoration holds under attack", "good"),
        ("The person survives the attacks", "good"),
        ("Robustness against pix_self (full): 38.2 dB", "note"),
    ]
    assert "lpips-alex by -0.249 [" in found[0].detail
    assert "psnr-rgb by 4.2" in found[0].detail
    assert "over 8 faces" in found[0].detail
    assert "100% of the restored faces and in 0% of the degraded ones" in found[1].detail


def test_the_area_is_that_of_the_polyline(tmp_path: Path) -> None:
    flat = dict.fromkeys(BUDGETS, (30.0 - 0.1 * 0, 0.0))
    found = audit(tmp_path, attacks={"pix_self": flat})
    # From 60 dB at 0 down to 30 at 1/255, then flat to 8/255; the faces lie 0, 0.1 and 0.2 dB above.
    expected = (45 * 1 + 30 * 7) / 8
    assert found[-1].title == f"Robustness against pix_self (full): {expected + 0.1:.1f} dB"


def test_equal_pictures_count_as_the_cap(tmp_path: Path) -> None:
    found = audit(tmp_path, attacks={"pix_self": dict.fromkeys(BUDGETS, (math.inf, 0.0))})
    assert found[-1].title == "Robustness against pix_self (full): 60.0 dB"
    assert found[2].severity == "good"


@pytest.mark.parametrize(
    ("curve", "eps", "severity"),
    [
        (SHAKY, "2/255", "bad"),
        ({"1/255": (30.0, 0.1), "8/255": (19.0, 0.7)}, "8/255", "warning"),
    ],
)
def test_the_smallest_budget_that_breaks_it_is_named(tmp_path: Path, curve: dict, eps: str, severity: str) -> None:
    found = audit(tmp_path, attacks={"l1": STEADY, "pix_self": curve, "random": NOISE})
    assert found[2].title == f"A change of {eps} breaks the restoration"
    assert found[2].severity == severity
    assert "pix_self (full) brings psnr-cc" in found[2].detail
    assert found[3].title == "A change of 8/255 turns the restored face into somebody else"
    assert found[3].severity == "warning"


def test_an_attack_no_better_than_noise_is_suspected(tmp_path: Path) -> None:
    found = audit(tmp_path, attacks={"pix_self": NOISE, "random": NOISE})
    assert found[-1].title == "pix_self (full) does no more than noise"
    assert found[-1].severity == "warning"


@pytest.mark.parametrize(
    ("rows", "quality_severity", "identity_severity"),
    [
        (quality((0.3, 0.5), (25.0, 20.0), (0.4, 0.8)), "bad", "bad"),
        (quality((0.3, 0.5), (25.0, 20.0), (0.4, 0.5)), "bad", "warning"),
        (quality((0.303, 0.3), (25.0, 25.0), (0.404, 0.4)), "warning", "note"),
    ],
)
def test_a_poor_restorer(tmp_path: Path, rows: list[dict], quality_severity: str, identity_severity: str) -> None:
    first, second = audit(tmp_path, rows)
    assert (first.severity, second.severity) == (quality_severity, identity_severity)


@pytest.mark.parametrize(("distance", "severity"), [(0.3, "good"), (0.61, "bad")])
def test_without_reference_the_input_is_the_person(tmp_path: Path, distance: float, severity: str) -> None:
    (only,) = audit(tmp_path, [{"identity-io": distance + 0.001 * i} for i in range(8)])
    assert only.severity == severity


def test_failures_are_told_last_with_the_first_reason(tmp_path: Path) -> None:
    last = audit(tmp_path, failed=2)[-1]
    assert last.severity == "bad"
    assert last.detail == "2 of 10 measurements failed; the first: returned NaN"


def test_an_audit_that_has_not_begun_has_nothing_to_say(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, verb="audit", settings={}, provenance={}) as run:
        assert findings(run) == []
