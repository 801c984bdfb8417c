"""What every page says around its results: title, state of the run, command, settings and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from facefort.report.numbers import counted, duration, moment

Severity = Literal["warning", "bad"]
Pairs = tuple[tuple[str, str], ...]

LISTED_HASHES = 24


@dataclass(frozen=True)
class Banner:
    """A line at the top of the page that a reader must see before any number."""

    severity: Severity
    title: str
    detail: str


@dataclass(frozen=True)
class Head:
    """Everything on a page that is not a result.

    Attributes:
        kicker: what kind of page it is.
        title: what the run was about.
        verdict: one sentence; empty where nothing can be said.
        glance: name and value of the few facts under the verdict.
    """

    kicker: str
    title: str
    verdict: str
    glance: Pairs
    banners: tuple[Banner, ...]
    command: str
    settings: Pairs
    provenance: Pairs
    version: str


def describe(info: Mapping[str, Any], *, kicker: str, title: str, verdict: str, glance: Pairs) -> Head:
    """Assemble the frame of a page from the run's record.

    Args:
        info: :attr:`facefort.runs.RunFolder.info`.
        kicker: what kind of page it is.
        title: what the run was about.
        verdict: one sentence.
        glance: facts of this kind of run; when it started and how long it took are added.
    """
    times = (("started", moment(info["started"])), ("took", duration(info["seconds"])))
    return Head(
        kicker,
        title,
        verdict,
        (*glance, *times),
        tuple(_banners(info)),
        info["command"],
        tuple(flatten(info["settings"])),
        tuple(_provenance(info)),
        info["facefort"],
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and texts of nested plain values; empty ones are left out."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            if value:
                yield name, ", ".join(map(str, value))
        elif value is not None and value != "":
            yield name, str(value)


def _banners(info: Mapping[str, Any]) -> Iterator[Banner]:
    counts = info["counts"]
    settled = counts["done"] + counts["failed"]
    so_far = f"{settled} of {settled + counts['left']} units were worked on; every number below rests on those alone."
    reason = f"{info['reason'].rstrip('.')}. " if info["reason"] else ""
    if info["status"] == "running":
        yield Banner("warning", "This run has not ended.", so_far)
    elif info["status"] == "interrupted":
        detail = f"{reason}{so_far} The same command, given again, goes on from there."
        yield Banner("warning", "This run was interrupted.", detail)
    elif info["status"] == "failed" and counts["left"]:
        yield Banner("bad", "This run broke off.", f"{reason}{so_far}")
    if not settled:
        yield Banner("warning", "Nothing was measured yet.", "The run folder holds no rows.")
    elif counts["failed"]:
        detail = f"{counted(counts['failed'], 'unit')} of {settled} failed and are listed under Failures."
        yield Banner("bad", "Not everything worked.", detail)


def _provenance(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    facts = info["provenance"]
    yield "facefort", f"{facts.get('facefort', info['facefort'])}, commit {facts.get('commit') or 'unknown'}"
    yield "started", info["started"]
    yield "ended", info["ended"] or "not yet"
    for group in ("seed", "machine", "libraries"):
        if group in facts:
            value = facts[group]
            text = ", ".join(f"{k} {v}" for k, v in flatten(value)) if isinstance(value, Mapping) else str(value)
            yield group, text
    for group in ("weights", "inputs"):
        yield from _hashes(group, sorted(facts.get(group, {}).items()))
    known = {"facefort", "commit", "seed", "machine", "libraries", "weights", "inputs"}
    yield from flatten({key: value for key, value in facts.items() if key not in known})


def _hashes(group: str, hashes: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in hashes[:LISTED_HASHES]:
        yield f"{group}: {name}", f"sha256 {value}"
    if len(hashes) > LISTED_HASHES:
        yield group, f"and {len(hashes) - LISTED_HASHES} more, with their sha256 in run.json beside this page"
