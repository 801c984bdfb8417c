"""`facefort ls`: what there is, by kind."""

from __future__ import annotations

import fnmatch
import json
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import click

from facefort.errors import UnknownNameError
from facefort.registry import Registry

Rows = list[dict[str, Any]]


def _registry(load: Callable[[], Registry[Any]]) -> Callable[[], Rows]:
    return lambda: [{"name": entry.name, **entry.facts} for entry in load()]


def _models() -> Rows:
    from facefort.models import zoo

    return [_card(zoo.find(name).card) for name in zoo.names()]


def _parts() -> Rows:
    from facefort.models import zoo

    return [_card(zoo.find_part(name).card) for name in zoo.part_names()]


def _card(card: dict[str, Any]) -> dict[str, Any]:
    keys = (
        *("name", "architecture", "paper", "size", "parameters_m", "megabytes", "gflop", "cpu_ms"),
        *("licence", "licence_of_the_method", "scores", "limits"),
    )
    return {key: card[key] for key in keys if key in card}


def _architectures() -> Registry[Any]:
    from facefort.models.restorers import RESTORERS

    return RESTORERS


def _presets() -> Rows:
    from facefort.pictures.degrade import PRESETS

    return [{"name": preset.name, "source": preset.source} for preset in PRESETS.values()]


def _metrics() -> Rows:
    from facefort.measuring.listing import metrics

    return metrics()


def _protocols() -> Rows:
    from facefort.measuring.listing import protocol_rows

    return protocol_rows()


def _security_metrics() -> Rows:
    from facefort.metrics.security import SECURITY_METRICS

    keys = ("of", "direction", "unit", "scope", "variant", "source", "needs")
    return [{"name": each.name, **{key: getattr(each, key) for key in keys}} for each in SECURITY_METRICS.values()]


def _published() -> Rows:
    from facefort.audit.published import TABLES

    return [{"name": each.name, "source": each.source, "shows": each.shows} for each in TABLES.values()]


def _datasets() -> Rows:
    from facefort.pictures.datasets import LAYOUTS

    return [
        {"name": each.kind, "title": each.title, "layout": each.layout, "licence": each.licence}
        for each in (layout.facts for layout in LAYOUTS)
    ]


def _objectives() -> Registry[Any]:
    from facefort.attacks import OBJECTIVES

    return OBJECTIVES


def _recognisers() -> Registry[Any]:
    from facefort.models.judges.identity import RECOGNISERS

    return RECOGNISERS


def _detectors() -> Registry[Any]:
    from facefort.faces.detect import DETECTORS

    return DETECTORS


def _faces() -> Registry[Any]:
    from facefort.models.sources import SOURCES

    return SOURCES


def _regions() -> Rows:
    from facefort.faces.regions import REGIONS

    return [{"name": name} for name in REGIONS]


KINDS: dict[str, Callable[[], Rows]] = {
    "models": _models,
    "parts": _parts,
    "architectures": _registry(_architectures),
    "metrics": _metrics,
    "protocols": _protocols,
    "security-metrics": _security_metrics,
    "datasets": _datasets,
    "published-tables": _published,
    "objectives": _registry(_objectives),
    "regions": _regions,
    "presets": _presets,
    "faces": _registry(_faces),
    "recognisers": _registry(_recognisers),
    "detectors": _registry(_detectors),
}


@click.command(name="ls")
@click.argument("kind", required=False)
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, pattern: str, as_json: bool) -> None:
    """List things of a KIND (models, metrics, presets, faces ...), or the kinds themselves.

    PATTERN is a shell pattern on the name, such as '*ssim*'.
    """
    if kind is None:
        click.echo("\n".join(KINDS))
        return
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    rows = [row for row in KINDS[kind]() if fnmatch.fnmatch(row["name"], pattern)]
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    lines = {"models": _model_lines, "metrics": _metric_lines, "protocols": _protocol_lines}.get(kind, _lines)
    for line in lines(rows):
        click.echo(line)


def _lines(rows: Rows) -> Iterator[str]:
    """One line a row: its name and its facts."""
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        facts = ", ".join(f"{key} {_short(value)}" for key, value in row.items() if key != "name")
        yield f"{row['name']:<{width}}  {facts}".rstrip()


def _model_lines(rows: Rows) -> Iterator[str]:
    """Name, size and cost; below it the licences and the scores of each set of faces."""
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        cost = [f"{row['size']} px", f"{row['parameters_m']:.1f} M parameters"]
        if "megabytes" in row:
            cost += [f"{row['megabytes']} MB", f"{row['gflop']:.1f} GFLOP"]
            cost.append(f"{row['cpu_ms']['one face, one thread']} ms a face ({row['cpu_ms']['machine']}, one thread)")
        yield from _wrapped(f"{row['name']:<{width}}  {', '.join(cost)}", width + 2)
        method = row.get("licence_of_the_method", "")
        yield from _wrapped(f"    {row['paper']}", 6)
        yield from _wrapped(f"    weights {row['licence']}" + (f"; official code {method}" if method else ""), 6)
        for name, found in row.get("scores", {}).items():
            if isinstance(found, dict):
                yield from _wrapped(f"    {name}: {'; '.join(_gains(found))}", 6)


def _gains(scores: dict[str, dict[str, float]]) -> Iterator[str]:
    """From the input's to the restored faces' number of each metric."""
    for name, score in scores.items():
        closer = score.get("closer_to_the_original")
        share = "" if closer is None else f" ({100 * closer:.0f} % closer to the original)"
        yield f"{name} {score['input']} → {score['restored']}{share}"


def _metric_lines(rows: Rows) -> Iterator[str]:
    """Name, direction, range, cost and needs; below it the definition and what it is tested against."""
    from facefort.measuring.listing import needs

    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        arrow = {"higher": "↑", "lower": "↓"}[row["direction"]]
        low, high = (str(end).replace("inf", "∞") if isinstance(end, str) else f"{end:g}" for end in row["range"])
        reach = f"{low} to {high} {row['unit']}".rstrip()
        cost = "" if row["cost_ms"] is None else f"{row['cost_ms']:.0f} ms" if row["cost_ms"] >= 1 else "<1 ms"
        yield from _wrapped(f"{row['name']:<{width}} {arrow} {reach:<12} {cost:>8}  needs {needs(row)}", width + 34)
        yield from _wrapped(f"    {row['variant']}", 4)
        yield from _wrapped(f"    tested against {row['reference']}", 4)


def _protocol_lines(rows: Rows) -> Iterator[str]:
    for row in rows:
        yield from _wrapped(f"{row['name']}: {row['title']}", 4)
        size = row["pictures"]["size"]
        yield from _wrapped(f"    {', '.join(row['metrics'])}; {size} x {size} px, 8 bits", 4)
        for piece in row["bring"]:
            yield from _wrapped(f"    bring for {piece['metric']}: {piece['what']}; {piece['where']}", 6)
        for text in row["unstated"]:
            yield from _wrapped(f"    not stated: {text}", 6)
        if row["hint"]:
            yield from _wrapped(f"    {row['hint']}", 4)
        yield from _wrapped(f"    source: {row['source']}", 4)


def _wrapped(text: str, indent: int) -> list[str]:
    """Lines of at most 100 columns; those after the first are indented."""
    return textwrap.wrap(
        text, 100, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def _short(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
