"""Small charts as inline SVG: curves with confidence bands, and strips of single values.

Colours and fonts come from the page's style sheet (classes ``series-0`` ...), so a chart follows the light and the
dark scheme. Each chart says in words, for a screen reader, what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from facefort.report.numbers import plain

WIDTH = 460
HEIGHT = 280
LEFT, RIGHT, TOP, BOTTOM = 50, 16, 14, 44
SERIES_STYLES = 6
MARKERS = 3
LABEL_WIDTH = 56  # of an x tick; nearer ticks go unlabelled


@dataclass(frozen=True)
class Point:
    """A mean with its 95 % interval over ``n`` values at ``x``, whose tick reads ``tick``."""

    x: float
    tick: str
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Series:
    """A named curve; ``control`` draws it as a quiet baseline."""

    name: str
    points: tuple[Point, ...]
    control: bool = False


@dataclass(frozen=True)
class Threshold:
    """A horizontal line that a curve should not cross."""

    value: float
    label: str


@dataclass(frozen=True)
class Dots:
    """One row of a strip chart: single values and their mean."""

    name: str
    values: tuple[float, ...]
    mean: float


Scale = Callable[[float], float]


def curve(
    title: str, x_label: str, y_label: str, series: Sequence[Series], thresholds: Sequence[Threshold] = ()
) -> Markup:
    """Means over x with their 95 % bands, as an SVG element.

    Args:
        title: what a screen reader announces.
        x_label: with unit.
        y_label: with unit.
        series: at least one point among them.
        thresholds: lines drawn across.
    """
    points = [point for one in series for point in one.points]
    lows = [point.low for point in points] + [line.value for line in thresholds]
    highs = [point.high for point in points] + [line.value for line in thresholds]
    ticks = nice_ticks(min(lows), max(highs))
    across = _scale(0.0, max(point.x for point in points) * 1.04 or 1.0, LEFT, WIDTH - RIGHT)
    up = _scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid(ticks, up), _x_axis(points, across, x_label), _y_name(y_label)]
    parts += [_threshold(line, up) for line in thresholds]
    parts += [_band(one, index, across, up) for index, one in enumerate(series)]
    parts += [_line(one, index, across, up) for index, one in enumerate(series)]
    return _svg("chart curve", WIDTH, HEIGHT, f"{title}: {_in_words(series)}", parts)


def strip(title: str, rows: Sequence[Dots], digits: int) -> Markup:
    """Single values of each row as dots on one common axis, with a tick at the mean."""
    values = [value for row in rows for value in row.values]
    low, high = min(values), max(values)
    across = _scale(low, high, 8, 292) if high > low else (lambda _: 150.0)
    height = 18 * len(rows) + 14
    parts = [
        Markup('<text class="tick" x="8" y="{y}">{low}</text>').format(y=height - 1, low=plain(low, digits)),
        Markup('<text class="tick" x="292" y="{y}" text-anchor="end">{high}</text>').format(
            y=height - 1, high=plain(high, digits)
        ),
    ]
    for index, row in enumerate(rows):
        y = 10 + 18 * index
        parts.append(Markup('<line class="rule" x1="8" x2="292" y1="{y}" y2="{y}"/>').format(y=y))
        parts.append(Markup('<g class="dots series-{i}">').format(i=len(rows) - 1 - index))
        parts += [
            Markup('<circle cx="{x}" cy="{y}" r="3"/>').format(x=_short(across(value)), y=y) for value in row.values
        ]
        x = _short(across(row.mean))
        parts.append(Markup('<path class="mean" d="M{x} {top}v14"/></g>').format(x=x, top=y - 7))
    words = "; ".join(f"{row.name} {plain(row.mean, digits)} on average over {len(row.values)}" for row in rows)
    return _svg("chart strip", 300, height, f"{title}: {words}", parts)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round axis values (1, 2, 2.5 or 5 times a power of ten apart) that enclose ``low`` and ``high``."""
    span = high - low
    if span <= 0:
        span = abs(high) or 1.0
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _short(value: float) -> str:
    return f"{value:.1f}"


def _svg(css: str, width: int, height: int, words: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="{css}" viewBox="0 0 {w} {h}" role="img" aria-label="{words}">')
    return head.format(css=css, w=width, h=height, words=words) + Markup("").join(parts) + Markup("</svg>")


def _grid(ticks: Sequence[float], up: Scale) -> Markup:
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    digits += round((ticks[1] - ticks[0]) * 10**digits, 6) % 1 > 0  # steps of 2.5 need one more
    line = Markup(
        '<line class="rule" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        '<text class="tick" x="{label}" y="{base}" text-anchor="end">{text}</text>'
    )
    return Markup("").join(
        line.format(
            left=LEFT,
            right=WIDTH - RIGHT,
            y=_short(up(tick)),
            label=LEFT - 8,
            base=_short(up(tick) + 4),
            text=plain(tick, digits),
        )
        for tick in ticks
    )


def _x_axis(points: Sequence[Point], across: Scale, label: str) -> Markup:
    parts = []
    free = -math.inf
    for x, tick in sorted({(point.x, point.tick) for point in points}):
        place = across(x)
        parts.append(
            Markup('<line class="axis" x1="{x}" x2="{x}" y1="{a}" y2="{b}"/>').format(
                x=_short(place), a=HEIGHT - BOTTOM, b=HEIGHT - BOTTOM + 4
            )
        )
        if place >= free:
            parts.append(
                Markup('<text class="tick" x="{x}" y="{y}" text-anchor="middle">{t}</text>').format(
                    x=_short(place), y=HEIGHT - BOTTOM + 18, t=tick
                )
            )
            free = place + LABEL_WIDTH
    name = Markup('<text class="name" x="{x}" y="{y}" text-anchor="end">{label}</text>')
    parts.append(name.format(x=WIDTH - RIGHT, y=HEIGHT - 6, label=label))
    return Markup("").join(parts)


def _y_name(label: str) -> Markup:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return Markup(
        '<text class="side" transform="translate(12 {y}) rotate(-90)" text-anchor="middle">{label}</text>'
    ).format(y=middle, label=label)


def _threshold(line: Threshold, up: Scale) -> Markup:
    return Markup(
        '<g class="threshold"><line x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        '<text x="{right}" y="{base}" text-anchor="end">{label}</text></g>'
    ).format(
        left=LEFT, right=WIDTH - RIGHT, y=_short(up(line.value)), base=_short(up(line.value) - 5), label=line.label
    )


def _band(one: Series, index: int, across: Scale, up: Scale) -> Markup:
    if len(one.points) < 2:
        return Markup("")
    upper = [f"{_short(across(p.x))},{_short(up(p.high))}" for p in one.points]
    lower = [f"{_short(across(p.x))},{_short(up(p.low))}" for p in reversed(one.points)]
    return Markup('<polygon class="band {css}" points="{points}"/>').format(
        css=style_of(one, index), points=" ".join(upper + lower)
    )


def _line(one: Series, index: int, across: Scale, up: Scale) -> Markup:
    places = [(across(point.x), up(point.mean)) for point in one.points]
    path = " ".join(f"{_short(x)},{_short(y)}" for x, y in places)
    parts = [Markup('<g class="line {css}"><polyline points="{path}"/>').format(css=style_of(one, index), path=path)]
    for point, (x, y) in zip(one.points, places, strict=True):
        words = (
            f"{one.name}, {point.tick}: {plain(point.mean, 3)} "
            f"(95 % {plain(point.low, 3)} to {plain(point.high, 3)}, n = {point.n})"
        )
        parts.append(
            Markup('<path class="dot" d="{shape}"><title>{words}</title></path>').format(
                shape=marker(index, x, y), words=words
            )
        )
    return Markup("").join(parts) + Markup("</g>")


def style_of(one: Series, index: int) -> str:
    """CSS class of a curve and of its entry in the legend."""
    return "control" if one.control else f"series-{index % SERIES_STYLES}"


def marker(index: int, x: float, y: float) -> str:
    """SVG path of a curve's marker: circle, square or diamond, so that colour is not the only difference."""
    at = f"M{_short(x)} {_short(y)}"
    if index % MARKERS == 0:
        return f"{at}m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"
    if index % MARKERS == 1:
        return f"{at}m-3.6 -3.6h7.2v7.2h-7.2z"
    return f"{at}m0 -5l5 5l-5 5l-5 -5z"


def key(index: int, one: Series) -> Markup:
    """The legend's sample of a curve."""
    return Markup(
        '<svg class="chart key" viewBox="0 0 26 12" aria-hidden="true"><g class="line {css}">'
        '<polyline points="0,6 26,6"/><path class="dot" d="{shape}"/></g></svg>'
    ).format(css=style_of(one, index), shape=marker(index, 13, 6))


def _in_words(series: Sequence[Series]) -> str:
    sentences = []
    for one in series:
        values = ", ".join(f"{plain(point.mean, 3)} at {point.tick}" for point in one.points)
        sentences.append(f"{one.name} {values}")
    return "; ".join(sentences)
