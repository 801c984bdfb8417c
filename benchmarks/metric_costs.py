"""CPU time of every metric for one picture of 512 px, on one core: what `facefort ls metrics` shows as its cost.

    python benchmarks/metric_costs.py [--repeats 5] [--write]

CPU time, not wall time, median after a warm-up, on one of the package's sample faces enlarged to 512 px, with noise on
one side. For a metric of sets: the features of one picture. --write puts the result into the package.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from facefort import samples
from facefort.assets import missing
from facefort.measuring import listing
from facefort.metrics import METRICS, metric
from facefort.metrics.sets import SET_METRICS, set_metric
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import round_to_8_bits, to_batch
from facefort.runtime import Runtime, describe

SIDE, BATCH = 512, 1
ENOUGH = 1500.0


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy and clean faces, (1, 3, 512, 512)."""
    faces = [Photo.read(path).pixels for path in samples.faces()[:BATCH]]
    clean = round_to_8_bits(to_batch([cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for face in faces]))
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.04, clean.shape).astype(np.float32))
    return round_to_8_bits(clean + noise), clean


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median CPU time per picture; a slow metric is repeated less often."""
    work()
    taken: list[float] = []
    while len(taken) < repeats and sum(taken) < ENOUGH:
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start) / BATCH)
    return round(statistics.median(taken), 2)


def works(spoilt: torch.Tensor, clean: torch.Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every metric whose weights are here, as something to time."""
    for entry in [*METRICS, *SET_METRICS]:
        if absent := missing(entry.facts.get("weights", ())):
            print(f"{entry.name}: {', '.join(absent)} not fetched")
        elif entry.name in SET_METRICS:
            yield entry.name, partial(set_metric(entry.name).features, spoilt)
        elif entry.facts["needs_reference"]:
            yield entry.name, partial(metric(entry.name), spoilt, clean)
        else:
            yield entry.name, partial(metric(entry.name), spoilt)


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of every metric.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="put the result into the package")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found: dict[str, float] = {}
    features: dict[object, float] = {}
    with torch.no_grad():
        for name, work in works(*pictures()):
            shared = getattr(work, "func", None) if name in SET_METRICS else None
            try:
                found[name] = features.get(shared) or milliseconds(work, options.repeats)
            except Exception as error:  # a file of the user's own that is not here
                print(f"{name}: {error}")
                continue
            if shared is not None:
                features[shared] = found[name]
            print(f"{name}: {found[name]} ms", flush=True)
    if options.write:
        place = Path(listing.__file__).with_name(listing.COSTS)
        content = {"side": SIDE, "machine": describe(Runtime())["processor"], "milliseconds": found}
        place.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
