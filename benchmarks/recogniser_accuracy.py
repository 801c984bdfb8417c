"""How well each recogniser tells people apart; writes docs/recognisers.md.

    python benchmarks/recogniser_accuracy.py FACES [--write docs/recognisers.md]

FACES holds `lfw112/` and `lfw112_pairs.csv` (LFW, ArcFace-aligned, 112 px; columns a, b, same) and `london512/`
(Face Research Lab London Set, FFHQ-aligned, 512 px, PERSON_EXPRESSION.jpg). Nothing here is random.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facefort.files import write_text
from facefort.models.judges.chips import Layout
from facefort.models.judges.identity import RECOGNISERS, Recogniser, recogniser
from facefort.models.judges.thresholds import PAPER_THRESHOLDS

Array = NDArray[np.float64]

FOLDS = 10
LFW_FAR = 1e-3
LOOSE_FAR = 1e-2
LONDON_FAR = 1e-2
PAPER = PAPER_THRESHOLDS["arcface-cosine-0.4"]
PAPER_DISTANCE = 0.6
TAIL = 7
DISTANCES = {"dlib": "Euclidean", "arcface-mbf": "1 - cosine", "edgeface": "1 - cosine"}

PAGE = """# Recognisers

A recogniser turns an aligned face into an embedding; two pictures count as one person where the distance of their
embeddings is at most the recogniser's threshold. Written by `benchmarks/recogniser_accuracy.py`.

| recogniser | numbers per face | distance | licence of the weights |
|---|---|---|---|
{kinds}

`dlib` is the default everywhere. The others are taken only where they are asked for by name. They differ in
network, training set and loss: what all three say of a picture is no quirk of one of them.

## LFW, 112 px

{lfw_pairs} labelled pairs among {lfw_pictures} pictures, aligned to ArcFace's template.

| recogniser | accuracy, {folds}-fold | best threshold | accuracy there | threshold at FAR {lfw_far:g} | TAR there \
| accuracy there | threshold at FAR {loose_far:g} | TAR there |
|---|---|---|---|---|---|---|---|---|
{lfw}

The first accuracy is LFW's protocol: the best threshold on nine tenths of the pairs, scored on the last tenth; mean and
standard deviation over the folds. The second is that of the one threshold that suits all pairs best. FAR {lfw_far:g}
means that 1 in {lfw_one_in} pairs of strangers is taken for one person. The {lfw_negatives} labelled pairs of strangers
cannot show that (a single one of them is {lfw_step:.1e}), so the threshold is the {lfw_far:g} quantile of the distances
of all {lfw_strangers:,} pairs of pictures of different people. TAR is the part of the {lfw_positives} labelled pairs of
one person at or below it. The thresholds at FAR {lfw_far:g} are the constants `Recogniser.threshold`. The recognisers'
accuracies differ by less than their standard deviations.

## A paper's threshold, translated

ID-Guard calls a manipulation disrupted where the cosine of ArcFace falls below 0.4. That number belongs to one network.
What carries over is how often strangers pass: `arcface-mbf` lets {tail_accepted} of the {lfw_strangers:,} pairs of
strangers pass at a cosine of 0.4, a FAR of {tail_far:.1e} (95 % interval {tail_low:.1e} to {tail_high:.1e}). Every
recogniser's threshold of equal FAR is the largest distance at which no more of them pass
(`facefort.models.judges.thresholds.equal_far_threshold`).

| recogniser | threshold of equal FAR | TAR there | its {tail} nearest pairs of strangers |
|---|---|---|---|
{equal}

So few pairs say little: the smallest distances are listed so that everybody sees how far the threshold would move with
a pair more or less. Nearest of all are {nearest};
where that is far nearer than the rest, it may be a labelling error of LFW. CelebA does not help (tried once, not by
this file): of 4222 of its pictures, 854 pairs of "strangers" pass, and they are of 19 pairs of identities only:
presumably people under two numbers. With `dlib`, most pairs of one person fail at so strict a threshold, too: a
disruption rate by it would be too high.

## London Set, 512 px

{london_people} people, one neutral and one smiling studio portrait each, aligned as FFHQ: {london_people} pairs of one
person, {london_strangers:,} of strangers.

| recogniser | threshold at FAR {london_far:g} | TAR there | FAR at the LFW threshold | TAR there |
|---|---|---|---|---|
{london}

Studio portraits of one session are easier than photos from the web, so these numbers show only that the FFHQ layout
reaches the networks undamaged, and how often strangers who differ in nothing but their faces pass for one person.

## Identity metrics

One name hides several definitions, so every number carries its variant, and the network that made it is in its name.
R is `dlib`, `arcface-mbf` or `edgeface`.

| metric | what it is | as in |
|---|---|---|
| `identity-R` | the recogniser's own distance | |
| `cosine-R` | cosine of the embeddings of aligned faces | `id-sim` on aligned faces |
| `deg`, `deg-R` | angle in degrees; below 1 it is inf: identical, counted, left out of the mean | GFP-GAN, VQFR |
| `idd` | angle in radians, on RestoreFormer's own grey (BGR under RGB weights, [0, 1]) | RestoreFormer |
| `ids`, `ids-R` | 100 x cosine | CodeFormer |
| `id-sim`, `id-sim-R` | cosine, whole crops resized to the network's input, not aligned | ID-Guard |
| `id-sim-aligned` | the same network, aligned faces | |
| `lmd-468` | mean distance of 468 points of a face mesh, in pixels of a face of 512 px | VQFR's LMD, other points |

`deg`, `idd` and `ids` are ArcFace ResNet-18's on grey pictures, `id-sim` is ArcFace IR-SE50's. No package carries their
weights; whoever has the files adds them once: `facefort weights add arcface-resnet18 resnet18_110.pth`,
`facefort weights add arcface-ir-se50 model_ir_se50.pth`. They are read without running anything in them, must fit the
network exactly, and are kept with their SHA-256. Which network CodeFormer's IDS used is not published, nor is the
script of ID-Guard's. The networks were compared with their definitions on random weights, and what `deg` shows to its
network with what OpenCV reads; the published weights were not at hand.

LMD in papers is of 98 points found by AWing's network (`alignment_WFLW_4HG.pth`), which is not built here: `lmd-468`
orders the same pictures, but its values are not comparable with those.

Every one of these metrics refuses a picture that shows no aligned face, and names it; `benchmarks/face_presence.py`
measures what passes. 99.7 % of CelebA's faces do, 97 % of real low-quality faces, all or nearly all faces under mild
degradations, four fifths under the harshest (`codeformer_s2`, `vqfr_v2`), and 0.2 % of pictures without a face. A
caller that knows its pictures to be faces, however damaged, passes `faces_known=True`, as audits do.

## From an aligned face to the network's chip

Aligned faces have their landmarks at known places, so the way to a network's own chip is a constant scale and shift,
fitted by least squares to five points: eye centres, nose tip and mouth corners, in the FFHQ or ArcFace template and in
dlib's mean shape (68 points, padding 0.25, 150 px). The choice hardly matters: fits to eyes and mouth, to eyes and
nose, to the eyes alone and scales 8 % off changed dlib's best accuracy on LFW by +0.1 to -0.5 %. dlib's chip reaches
below ArcFace's crop; what lies outside is black, as in dlib itself: repeating the border instead costs 0.1 % of
accuracy and 1.8 % of TAR. Resampling is a triangle filter that widens when it shrinks.

## Time

CPU time on one thread in batches of {batch}: {times}.
"""


@dataclass(frozen=True)
class Faces:
    """Pictures of people: names, people and pixels in one order."""

    names: list[str]
    people: NDArray[np.str_]
    pixels: Tensor

    def strangers(self, distances: Array) -> Array:
        """Distances of all pairs of pictures of different people."""
        return distances[np.triu(self.people[:, None] != self.people[None, :], 1)]


@dataclass(frozen=True)
class Scores:
    """What one recogniser says of a set: all distances, and seconds of CPU per face."""

    judge: Recogniser
    distances: Array
    seconds: float


def read_faces(folder: Path) -> Faces:
    files = sorted(folder.glob("*.jpg"))
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    people = np.array([file.stem.rsplit("_", 1)[0] for file in files])
    return Faces([file.name for file in files], people, torch.from_numpy(pixels).permute(0, 3, 1, 2))


def score(judge: Recogniser, faces: Faces, layout: Layout, batch: int) -> Scores:
    start = time.process_time()
    with torch.inference_mode():
        parts = [judge(part.float() / 255, layout) for part in faces.pixels.split(batch)]
        seconds = (time.process_time() - start) / len(faces.names)
        embeddings = torch.cat(parts)
        rows = [judge.distance(row.expand_as(embeddings), embeddings) for row in embeddings]
    return Scores(judge, torch.stack(rows).numpy().astype(np.float64), seconds)


def best_threshold(distances: Array, same: NDArray[np.bool_]) -> float:
    """The threshold that most pairs agree with; the smallest of several."""
    order = np.argsort(distances, kind="stable")
    right = np.cumsum(same[order]) + np.count_nonzero(~same) - np.cumsum(~same[order])
    return float(distances[order][right.argmax()])


def folds(same: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Masks of the held-out pairs, each with a tenth of the pairs of one person and of strangers."""
    place = np.empty(len(same), int)
    for kind in (True, False):
        place[same == kind] = np.arange(np.count_nonzero(same == kind)) % FOLDS
    for fold in range(FOLDS):
        yield place == fold


def fold_accuracies(distances: Array, same: NDArray[np.bool_]) -> list[float]:
    found = []
    for held in folds(same):
        threshold = best_threshold(distances[~held], same[~held])
        found.append(float(((distances[held] <= threshold) == same[held]).mean()))
    return found


def lfw_row(scores: Scores, faces: Faces, pairs: NDArray[np.int64], same: NDArray[np.bool_]) -> str:
    distances = scores.distances[pairs[:, 0], pairs[:, 1]]
    found = fold_accuracies(distances, same)
    strict, loose = np.quantile(faces.strangers(scores.distances), (LFW_FAR, LOOSE_FAR))
    best = best_threshold(distances, same)

    def accuracy(threshold: float) -> str:
        return f"{100 * ((distances <= threshold) == same).mean():.2f} %"

    def accepted(threshold: float) -> str:
        return f"{100 * (distances[same] <= threshold).mean():.1f} %"

    return (
        f"| `{scores.judge.name}` | {100 * np.mean(found):.2f} ± {100 * np.std(found):.2f} % | {best:.3f} "
        f"| {accuracy(best)} | {strict:.3f} | {accepted(strict)} | {accuracy(strict)} | {loose:.3f} "
        f"| {accepted(loose)} |"
    )


def equal_far_row(scores: Scores, faces: Faces, pairs: NDArray[np.int64], same: NDArray[np.bool_], count: int) -> str:
    """The largest distance, in thousandths, at which no more than ``count`` pairs of strangers pass."""
    nearest = np.sort(faces.strangers(scores.distances))[: count + TAIL]
    own = scores.judge.name == PAPER.recogniser
    threshold = PAPER_DISTANCE if own else np.ceil(nearest[count] * 1000 - 1) / 1000
    distances = scores.distances[pairs[:, 0], pairs[:, 1]][same]
    listed = ", ".join(f"{distance:.3f}" for distance in nearest[:TAIL])
    return f"| `{scores.judge.name}` | {threshold:.3f} | {100 * (distances <= threshold).mean():.1f} % | {listed} |"


def nearest_pair(scores: Scores, faces: Faces) -> str:
    """The two strangers that the recogniser takes for one person before all others."""
    apart = np.where(faces.people[:, None] != faces.people[None, :], scores.distances, np.inf)
    pair = " and ".join(Path(faces.names[place]).stem for place in np.unravel_index(apart.argmin(), apart.shape))
    return f"{pair} (`{scores.judge.name}`)"


def london_row(scores: Scores, faces: Faces) -> str:
    strangers = faces.strangers(scores.distances)
    own = scores.distances[np.triu(faces.people[:, None] == faces.people[None, :], 1)]
    threshold, fixed = float(np.quantile(strangers, LONDON_FAR)), scores.judge.threshold
    return (
        f"| `{scores.judge.name}` | {threshold:.3f} | {100 * (own <= threshold).mean():.1f} % "
        f"| {(strangers <= fixed).mean():.1e} | {100 * (own <= fixed).mean():.1f} % |"
    )


def read_pairs(file: Path, names: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    place = {name: index for index, name in enumerate(names)}
    rows = list(csv.DictReader(file.read_text().splitlines()))
    pairs = np.array([(place[row["a"]], place[row["b"]]) for row in rows])
    return pairs, np.array([row["same"] == "1" for row in rows])


def page(folder: Path, batch: int) -> str:
    lfw, london = read_faces(folder / "lfw112"), read_faces(folder / "london512")
    pairs, same = read_pairs(folder / "lfw112_pairs.csv", lfw.names)
    judges = [recogniser(entry.name) for entry in RECOGNISERS]
    on_lfw = [score(judge, lfw, "arcface", batch) for judge in judges]
    on_london = [score(judge, london, "ffhq", batch) for judge in judges]
    paper = next(scores for scores in on_lfw if scores.judge.name == PAPER.recogniser)
    strangers = lfw.strangers(paper.distances)
    count = int(np.count_nonzero(strangers <= PAPER_DISTANCE))
    stated = replace(PAPER, accepted=count, strangers=len(strangers))
    return PAGE.format(
        kinds="\n".join(
            f"| `{judge.name}` | {judge.dimension} | {DISTANCES[judge.name]} | {judge.licence} |" for judge in judges
        ),
        lfw="\n".join(lfw_row(scores, lfw, pairs, same) for scores in on_lfw),
        lfw_pairs=len(same),
        lfw_pictures=len(lfw.names),
        lfw_far=LFW_FAR,
        loose_far=LOOSE_FAR,
        equal="\n".join(equal_far_row(scores, lfw, pairs, same, count) for scores in on_lfw),
        tail=TAIL,
        tail_accepted=count,
        tail_far=stated.far,
        tail_low=stated.far_interval[0],
        tail_high=stated.far_interval[1],
        nearest=", ".join(nearest_pair(scores, lfw) for scores in on_lfw),
        lfw_one_in=round(1 / LFW_FAR),
        lfw_positives=np.count_nonzero(same),
        lfw_negatives=np.count_nonzero(~same),
        lfw_step=1 / np.count_nonzero(~same),
        lfw_strangers=len(lfw.strangers(on_lfw[0].distances)),
        folds=FOLDS,
        london="\n".join(london_row(scores, london) for scores in on_london),
        london_people=len(set(london.people)),
        london_strangers=len(london.strangers(on_london[0].distances)),
        london_far=LONDON_FAR,
        batch=batch,
        times=", ".join(f"`{scores.judge.name}` {1000 * scores.seconds:.0f} ms a face" for scores in on_lfw),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of the recognisers.")
    parser.add_argument("faces", type=Path, help="folder of the face collection")
    parser.add_argument("--write", type=Path, help="page to write; without it, it is printed")
    parser.add_argument("--batch", type=int, default=32, help="faces at once")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = page(options.faces, options.batch)
    if options.write:
        write_text(options.write, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
