"""Training of the face-quality judge by SDD-FIQA (Ou et al., CVPR 2021): labels from a recogniser, then regression.

A picture is useful where its similarities to pictures of its own person lie far from those to strangers. The label is
the Wasserstein distance between samples of both, averaged over draws and stretched to 0-100 (equations 3-5). A small
network then learns to tell the label from the picture alone.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from torch import Tensor

from facefort import config, runtime
from facefort.config import option
from facefort.errors import TrainingError
from facefort.files import atomic, sha256_file, write_text
from facefort.models.judges.chips import cut
from facefort.models.judges.identity import recogniser
from facefort.models.judges.quality import load_strictly
from facefort.models.judges.sdd_quality import SDDQuality
from facefort.models.weights import save_weights
from facefort.pictures.tensors import from_bytes
from facefort.training.export import public
from facefort.training.versions import FaceVersions

Labels = NDArray[np.float64]


@dataclass(frozen=True)
class VersionSettings:
    """How pictures of a person come to be of different quality; every share is a probability."""

    count: int = option("versions of each picture", 10, low=1)
    sizes: tuple[int, ...] = option("sides of the face in pixels, drawn with equal probability", (96, 128, 176, 240))
    clean: float = option("share of versions that are only moved and resized", 0.12, low=0, high=1)
    light: float = option("share with other brightness, contrast and gamma", 0.3, low=0, high=1)
    cover: float = option("share with a part of the face covered", 0.12, low=0, high=1)
    jitter: float = option("shift, scale and rotation, as a share of the face", 0.03, low=0, high=0.3)


@dataclass(frozen=True)
class QualityRecipe:
    """A training run of the quality judge."""

    faces: str = option("folder or pattern of FFHQ-aligned faces", "")
    people: str = option("CSV with columns file and identity; a picture that it does not name is another person", "")
    note: str = option("what faces these are, for the card", "")
    limit: int = option("pictures that are used, 0 = all", 0, low=0)
    versions: VersionSettings = field(default_factory=VersionSettings, metadata={"help": "qualities"})
    recogniser: str = option("whose similarities make the labels", "dlib")
    pairs: int = option("pairs of each kind in a draw (the paper's m)", 24, low=1)
    repeats: int = option("draws that are averaged (the paper's K)", 12, low=1)
    held_out: float = option("share of people that only validate", 0.08, low=0, high=0.5)
    steps: int = option("optimiser steps", 3000, low=1)
    batch: int = option("pictures per step", 64, low=2)
    rate: float = option("highest learning rate of Adam; it falls to zero along a cosine", 1e-3, low=0)
    decay: float = option("weight decay of Adam", 5e-4, low=0)
    seed: int = option("seed of versions, labels, weights and order", 0)
    precision: str = option("arithmetic of the forward pass", "auto", choices=("auto", "fp32", "bf16"))
    threads: int = option("threads, 0 = torch's choice", 0, low=0)


class QualityData(NamedTuple):
    """Chips (N, 112, 112, 3) as bytes, the person of each, and labels on 0-100."""

    chips: NDArray[np.uint8]
    people: NDArray[np.int64]
    labels: Labels


def pseudo_labels(
    embeddings: Tensor, people: NDArray[np.int64], *, pairs: int = 24, repeats: int = 12, seed: int = 0
) -> Labels:
    """Quality of each picture, (N,) on 0-100, from embeddings (N, D) and the person of each picture (N,).

    Each draw takes ``pairs`` pictures of the same person and as many of others (with replacement where a person has
    fewer) and measures the Wasserstein distance of the two samples of cosine similarities; between samples of one
    length that is the mean difference of their sorted values.

    Raises:
        TrainingError: a person with a single picture, a single person, or embeddings that are not numbers.
    """
    names, person, counts = np.unique(people, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise TrainingError("quality labels compare people; give pictures of two people at least")
    if counts.min() < 2:
        lonely = names[counts.argmin()]
        raise TrainingError(f"person {lonely} has a single picture; quality labels need two of each person at least")
    if not bool(embeddings.isfinite().all()):
        raise TrainingError("embeddings hold numbers that are not finite; what made them has failed")
    order = np.argsort(person, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - starts[person[order]]
    unit = F.normalize(embeddings.double(), dim=1)
    rng = np.random.default_rng(seed)
    total = np.zeros(len(people))
    for _ in range(repeats):
        own = _own_draw(rng, place, counts[person], pairs)
        same = order[starts[person][:, None] + own]
        other = _other_draw(rng, person, pairs)
        near, far = (torch.einsum("nd,nmd->nm", unit, unit[torch.from_numpy(drawn)]) for drawn in (same, other))
        total += (near.sort(1).values - far.sort(1).values).abs().mean(1).numpy()
    low, high = total.min(), total.max()
    return np.asarray(100 * ((total - low) / max(high - low, 1e-12)))


def _own_draw(
    rng: np.random.Generator, place: NDArray[np.int64], counts: NDArray[np.int64], pairs: int
) -> NDArray[np.int64]:
    """Places (N, pairs) among the person's pictures, never the picture's own; different ones where there are enough."""
    drawn = np.empty((len(place), pairs), np.int64)
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        others = count - 1
        if others >= pairs:
            drawn[rows] = rng.random((len(rows), others)).argsort(1)[:, :pairs]
        else:
            drawn[rows] = rng.integers(others, size=(len(rows), pairs))
    return drawn + (drawn >= place[:, None])


def _other_draw(rng: np.random.Generator, person: NDArray[np.int64], pairs: int) -> NDArray[np.int64]:
    """Pictures (N, pairs) of other people."""
    drawn = rng.integers(len(person), size=(len(person), pairs))
    while (same := person[drawn] == person[:, None]).any():
        drawn[same] = rng.integers(len(person), size=int(same.sum()))
    return drawn


def prepare(recipe: QualityRecipe) -> QualityData:
    """Draw the versions of every picture, embed them and label them.

    Raises:
        TrainingError: no faces, unreadable ones, or people that cannot be told apart by the table.
    """
    versions = FaceVersions(recipe.faces, recipe.versions, recipe.seed, recipe.limit)
    people = _people(Path(recipe.people), [file.name for file in versions.files]) if recipe.people else None
    judge = recogniser(recipe.recogniser)
    chips, embeddings = [], []
    for faces, seen in versions:
        chips.append(seen)
        with torch.inference_mode():
            embeddings.append(judge.embed(torch.cat([cut(face, "ffhq", judge.chip) for face in faces])))
    owners = np.arange(len(versions.files)) if people is None else people
    owners = np.repeat(owners, recipe.versions.count)
    labels = pseudo_labels(torch.cat(embeddings), owners, pairs=recipe.pairs, repeats=recipe.repeats, seed=recipe.seed)
    return QualityData(np.concatenate(chips), owners, labels)


def _people(table: Path, files: Sequence[str]) -> NDArray[np.int64]:
    """The person of each file; a file that the table does not name shows a person of its own."""
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            known = {row["file"]: int(row["identity"]) for row in csv.DictReader(lines)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{table.name} does not say who is in each picture ({error!r}); give file,identity"
        ) from None
    if not known.keys() & set(files):
        raise TrainingError(f"{table.name} names none of the {len(files)} pictures, such as {files[0]}")
    alone = max(known.values()) + 1
    return np.array([known.get(file, alone + index) for index, file in enumerate(files)])


def train_quality(recipe: QualityRecipe, data: QualityData, out: Path) -> tuple[SDDQuality, dict[str, Any]]:
    """Train the judge.

    Args:
        recipe: settings.
        data: from :func:`prepare`.
        out: run folder; gets ``recipe.yaml``, ``log.csv``, ``last.pt`` and ``facts.yaml``.

    Returns:
        The judge in evaluation mode, and facts of the run for its card.

    Raises:
        TrainingError: the loss is no longer a number.
    """
    runtime.seed_everything(recipe.seed)
    place = runtime.choose("cpu", recipe.precision, recipe.threads)
    network = SDDQuality().train()
    place.place(network)
    held = _held_out(data.people, recipe)
    rows = np.flatnonzero(~held)
    labels = torch.from_numpy(data.labels).float()
    optimiser = torch.optim.Adam(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    write_text(out / "recipe.yaml", config.to_yaml(recipe))
    rng = np.random.default_rng(recipe.seed)
    started, log = time.process_time(), ["step,loss"]
    running = 0.0
    for step in range(1, recipe.steps + 1):
        chosen = rng.choice(rows, recipe.batch, replace=False)
        chips = from_bytes(data.chips[chosen])
        chips = torch.where(torch.from_numpy(rng.random((recipe.batch, 1, 1, 1)) < 0.5), chips.flip(3), chips)
        with place.autocast():
            loss = F.smooth_l1_loss(network.rate(chips), labels[chosen])
        if not bool(loss.isfinite()):
            raise TrainingError(f"the loss is {loss.item()} at step {step}; lower the rate and run again")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        running += loss.item()
        if step % 100 == 0:
            log.append(f"{step},{running / 100:.4f}")
            running = 0.0
            write_text(out / "log.csv", "\n".join(log) + "\n")
    network.eval()
    with atomic(out / "last.pt") as stream:
        torch.save(network.state_dict(), stream)
    facts = {
        "steps": recipe.steps,
        "pictures": len(rows),
        "people": len(np.unique(data.people[rows])),
        "cpu_minutes": round((time.process_time() - started) / 60, 1),
        "held_out": _validate(network, data, held),
        "machine": runtime.describe(place),
    }
    write_text(out / "facts.yaml", yaml.safe_dump(facts, sort_keys=False))
    return network, facts


def export_judge(run: Path, target: Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Write the weights of a finished run as bfloat16 ``target`` (.safetensors) and their card beside it (.yaml).

    Args:
        run: folder of the run.
        target: where the weights go.
        scores: what the finished judge was measured to do.

    Returns:
        The card.
    """
    network = load_strictly(SDDQuality, run / "last.pt")
    save_weights(target, network.state_dict(), {"architecture": "quality-sdd"})
    recipe = config.to_plain(config.load(QualityRecipe, run / "recipe.yaml"))
    card: dict[str, Any] = {
        "name": target.stem,
        "paper": "Ou et al., SDD-FIQA: Unsupervised Face Image Quality Assessment with Similarity Distribution "
        "Distance, CVPR 2021; the method only, network and training are facefort's",
        "size": SDDQuality.size,
        "parameters_m": round(sum(p.numel() for p in network.parameters()) / 1e6, 3),
        "licence": SDDQuality.licence,
        "sha256": sha256_file(target),
        "training": {
            **yaml.safe_load((run / "facts.yaml").read_text(encoding="utf-8")),
            "recipe": {**recipe, "faces": public(recipe["faces"]), "people": public(recipe["people"])},
        },
        "scores": dict(scores),
    }
    text = yaml.safe_dump(msgspec.to_builtins(card, str_keys=True), sort_keys=False, allow_unicode=True, width=100)
    write_text(target.with_suffix(".yaml"), text)
    return card


def _held_out(people: NDArray[np.int64], recipe: QualityRecipe) -> NDArray[np.bool_]:
    names = np.unique(people)
    chosen = np.random.default_rng(recipe.seed + 1).permutation(names)[: round(recipe.held_out * len(names))]
    return np.isin(people, chosen)


def _validate(network: SDDQuality, data: QualityData, held: NDArray[np.bool_]) -> dict[str, float]:
    """Agreement with the labels of people whom the training did not see."""
    if not held.any():
        return {}
    from scipy.stats import spearmanr

    with torch.inference_mode():
        parts = [network.rate(from_bytes(part)) for part in np.array_split(data.chips[held], held.sum() // 64 + 1)]
    scores, labels = torch.cat(parts).double().numpy(), data.labels[held]
    return {
        "pictures": int(held.sum()),
        "spearman": round(float(spearmanr(scores, labels).statistic), 4),
        "mean_absolute_error": round(float(np.abs(scores - labels).mean()), 3),
    }
