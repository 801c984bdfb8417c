"""Train the face-quality judge that ships, and put its weights with their card where the package keeps them.

python tools/train_quality_judge.py RECIPE -o RUN
python benchmarks/quality_judges.py FACES --judge sdd=RUN/last.pt --json scores.json
python tools/train_quality_judge.py --export scores.json -o RUN

The last one takes the scores onto the card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from facefort import config
from facefort.models.judges.sdd_quality import WEIGHTS
from facefort.training.quality import QualityData, QualityRecipe, export_judge, prepare, train_quality


def labelled(recipe: QualityRecipe, place: Path) -> QualityData:
    """The labelled chips of a recipe, kept at ``place`` for another run of it."""
    if place.exists():
        with np.load(place, allow_pickle=False) as stored:
            return QualityData(*(stored[name] for name in QualityData._fields))
    data = prepare(recipe)
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez(place, chips=data.chips, people=data.people, labels=data.labels)
    return data


def main() -> None:
    """Read the options, train or export."""
    parser = argparse.ArgumentParser(description="Train the face-quality judge.")
    parser.add_argument("recipe", type=Path, nargs="?")
    parser.add_argument("-o", "--run", type=Path, required=True, help="run folder")
    parser.add_argument("--faces", help="folder of aligned faces, instead of the recipe's")
    parser.add_argument("--export", type=Path, metavar="SCORES", help="write the run's weights and card; train nothing")
    options = parser.parse_args()
    if options.export:
        export_judge(options.run, WEIGHTS, json.loads(options.export.read_text()))
        return
    recipe = config.load(QualityRecipe, options.recipe, {"faces": options.faces} if options.faces else {})
    train_quality(recipe, labelled(recipe, options.run / "labelled.npz"), options.run)


if __name__ == "__main__":
    main()
