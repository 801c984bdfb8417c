"""Does a restored face still match the same person's other photo?

    python benchmarks/restored_matching.py FOLDER [--model gfpgan-128] [--recognisers arcface-mbf,edgeface]

FOLDER holds aligned high-quality faces called PERSON_what, two or more of each person. Each face is degraded, restored
and compared with the clean photos of everybody else and with the person's own other ones; the table says how often the
latter match at a false accept rate of 1 in 100, for the clean face, the degraded one and the restored one. Take
recognisers that had no part in the restorer's training.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from facefort.metrics.matching import matching
from facefort.models import load
from facefort.models.judges.identity import Recogniser, recogniser
from facefort.models.sources import faces as open_faces
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import round_to_8_bits


@torch.no_grad()
def embedded(judge: Recogniser, pictures: Tensor) -> Tensor:
    return torch.cat([judge(part) for part in pictures.split(16)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--model", default="gfpgan-128")
    parser.add_argument("--preset", default="gfpgan")
    parser.add_argument("--recognisers", default="arcface-mbf,edgeface")
    parser.add_argument("--far", type=float, default=1e-2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    restorer = load(given.model)
    names: list[str] = []
    parts: list[Tensor] = []
    for batch in open_faces(given.folder, restorer.size, limit=given.limit).batches(16):
        names += batch.names
        parts.append(batch.faces)
    clean = torch.cat(parts)
    degraded = degrade(clean, given.preset, seed=given.seed, names=names).pictures
    restored = round_to_8_bits(torch.cat([restorer.restore(part) for part in degraded.split(8)]))
    people = [name.rsplit("_", 1)[0] for name in names]
    same = torch.tensor([[a == b for b in people] for a in people])
    own = same & ~torch.eye(len(people), dtype=torch.bool)
    print(f"{len(names)} faces of {len(set(people))} people, {restorer.size} px, preset {given.preset}\n")
    print(f"| recogniser | face | matches at FAR {given.far:g} | share of the clean face's |\n|---|---|---|---|")
    for name in given.recognisers.split(","):
        judge = recogniser(name)
        truth = embedded(judge, clean)
        whole = 0.0
        for what, pictures in (("clean", clean), ("degraded", degraded), (restorer.name, restored)):
            seen = truth if what == "clean" else embedded(judge, pictures)
            distances = torch.stack([judge.distance(seen, other.expand_as(seen)) for other in truth], 1)
            found = matching(distances[own].numpy(), distances[~same].numpy(), given.far)
            whole = whole or found.accepted.share
            rate = found.accepted
            shown = f"{100 * rate.share:.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
            print(f"| {name} | {what} | {shown} | {100 * rate.share / whole:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
