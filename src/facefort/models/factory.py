"""Making restorers: from a preset, from the zoo, from a checkpoint of unknown architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from facefort.errors import ModelError, UnknownNameError, UsageError, WeightsError
from facefort.models import zoo
from facefort.models.parts import PARTS
from facefort.models.restorer import Origin, Restorer
from facefort.models.restorers import RESTORERS
from facefort.models.spec import Architecture, Options
from facefort.models.weights import Checkpoint, read_checkpoint
from facefort.registry import Registry


def build(name: str, preset: str = "official", **overrides: Any) -> Restorer:  # noqa: ANN401
    """See :func:`facefort.models.build`."""
    architecture = PARTS.get(name) if name in PARTS else RESTORERS.get(name)
    if preset not in architecture.presets:
        raise UnknownNameError(f"preset of {name}", preset, architecture.presets)
    options = {**architecture.presets[preset], **overrides}
    return Restorer(_network(architecture, options), architecture, options, Origin(f"{name}:{preset}")).eval()


def load(source: str | Path) -> Restorer:
    """See :func:`facefort.models.load`."""
    if str(source) in zoo.names():
        entry = zoo.find(str(source))
        return _fitted(read_checkpoint(entry.weights), entry.name, entry.card)
    path = Path(source)
    if path.suffix or path.exists():
        return _fitted(read_checkpoint(path), path.stem, {})
    raise UnknownNameError("model", str(source), zoo.names())


def load_part(source: str | Path) -> Restorer:
    """A trained network that restorers are made with or learn from (a parser, a codebook), or a restorer.

    Args:
        source: a name of the zoo, of its parts, or the path of a checkpoint.

    Raises:
        WeightsError: no such file or name, damaged, or of no known architecture.
    """
    if str(source) in zoo.part_names():
        entry = zoo.find_part(str(source))
        return _fitted(read_checkpoint(entry.weights), entry.name, entry.card, PARTS)
    if str(source) in zoo.names():
        return load(source)
    path = Path(source)
    if not path.exists():
        raise UnknownNameError("part", str(source), [*zoo.part_names(), *zoo.names()])
    checkpoint = read_checkpoint(path)
    is_part = any(PARTS.get(entry.name).detect(checkpoint.state) is not None for entry in PARTS)
    return _fitted(checkpoint, path.stem, {}, PARTS if is_part else RESTORERS)


def _fitted(
    checkpoint: Checkpoint, name: str, card: dict[str, Any], among: Registry[Architecture] = RESTORERS
) -> Restorer:
    """Find the architecture from the keys, build it and load the weights, every one of them."""
    for entry in among:
        architecture = among.get(entry.name)
        options = architecture.detect(checkpoint.state)
        if options is not None:
            break
    else:
        raise WeightsError(f"{checkpoint.file} is {_explained(checkpoint.state)}")
    network = _network(architecture, options)
    _load_strictly(network, checkpoint.state, f"{checkpoint.file} ({architecture.title})")
    return Restorer(network, architecture, options, Origin(name, checkpoint.sha256, card)).eval().requires_grad_(False)


def _explained(state: dict[str, Tensor]) -> str:
    """What a state dict is that no restorer recognises, and what to give instead."""
    for entry in RESTORERS:
        architecture = RESTORERS.get(entry.name)
        what = architecture.explain(state) if architecture.explain else None
        if what:
            return f"{what}; give a checkpoint of {architecture.title} itself"
    for entry in PARTS:
        part = PARTS.get(entry.name)
        if part.detect(state) is not None:
            return f"{part.title} alone, which restores nothing; give a checkpoint of a restorer that contains it"
    some = ", ".join(list(state)[:3])
    return f"of no known restorer (its keys begin with {some}); known: {', '.join(RESTORERS.names())}"


def _network(architecture: Architecture, options: Options) -> nn.Module:
    try:
        return architecture.build(**options)
    except TypeError as error:
        raise UsageError(f"{architecture.name}: {error}") from error
    except ValueError as error:
        raise UsageError(f"{architecture.name}: {error}") from error


def _load_strictly(network: nn.Module, state: dict[str, Tensor], what: str) -> None:
    expected = network.state_dict()
    missing = sorted(set(expected) - set(state))
    extra = sorted(set(state) - set(expected))
    if missing or extra:
        parts = [f"{len(missing)} missing ({missing[0]})"] if missing else []
        parts += [f"{len(extra)} unexpected ({extra[0]})"] if extra else []
        raise WeightsError(f"{what} does not fit: {', '.join(parts)}")
    wrong = [key for key in expected if expected[key].shape != state[key].shape]
    if wrong:
        key = wrong[0]
        raise WeightsError(f"{what} does not fit: {key} is {tuple(state[key].shape)}, not {tuple(expected[key].shape)}")
    bad = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise ModelError(f"{what} holds NaN or infinity in {bad[0]} ({len(bad)} tensors); the file is damaged")
    network.load_state_dict({key: value.to(expected[key].dtype) for key, value in state.items()}, strict=True)
