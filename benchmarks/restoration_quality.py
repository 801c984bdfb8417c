"""How much a restorer gains on degraded faces with a known original, beside classical filters.

    python benchmarks/restoration_quality.py FACES [--model gfpgan-128] [--preset gfpgan] [--limit N] [--json FILE]

FACES is a source of aligned high-quality faces (a folder, or synthetic:8000..8063), the model a name of the zoo or a
checkpoint of any size. The rows are measured as those of `zoo.py`; `--json` writes them as a card of the zoo has them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from zoo import JUDGES, WITH_REFERENCE, degraded, filtered, filters, headed, markdown, restored, scored, shown

from facefort.models import load

COLUMNS = (*WITH_REFERENCE, *(column for judge in JUDGES for column in (judge, f"{judge} closer")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces")
    parser.add_argument("--model", default="gfpgan-128")
    parser.add_argument("--preset", default="gfpgan")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="the scores, as a card of the zoo has them (tools/fill_card.py)")
    given = parser.parse_args()
    restorer = load(given.model)
    faces = degraded("faces", given.faces, restorer.size, given.preset, given.seed, given.limit)
    rows = {"degraded input": scored(faces, faces.given)}
    rows |= {name: scored(faces, filtered(faces, choices)) for name, choices in filters().items()}
    rows[restorer.name] = scored(faces, restored(restorer, faces.given))
    print(f"{len(faces.given)} faces of {given.faces.split('/')[-1]}, {restorer.size} px, preset {given.preset}\n")
    body = [[name, *(shown(column, row[column]) for column in COLUMNS)] for name, row in rows.items()]
    print(markdown(["", *map(headed, COLUMNS)], body))
    if given.json:
        protocol = f"preset {given.preset} scaled to {restorer.size} px, seed {given.seed}, 8-bit pictures"
        scores = {
            "protocol": f"{protocol}; benchmarks/restoration_quality.py",
            f"{_set(given.faces)}{len(faces.given)}": card(rows["degraded input"], rows[restorer.name]),
        }
        given.json.write_text(json.dumps(scores, indent=1))


def card(before: dict[str, float], after: dict[str, float]) -> dict[str, dict[str, float]]:
    """Scores as a card of the zoo has them."""
    found = {column: {"input": before[column], "restored": after[column]} for column in (*WITH_REFERENCE, *JUDGES)}
    for judge in JUDGES:
        found[judge]["closer_to_the_original"] = round(after[f"{judge} closer"] / 100, 3)
    return found


def _set(source: str) -> str:
    """The name of a set of faces: its folder's, without a size at its end."""
    return Path(source.split(":")[0]).name.rstrip("0123456789")


if __name__ == "__main__":
    main()
