"""Put scores and costs onto the card of a model of the zoo.

    python benchmarks/restoration_quality.py FACES --model NAME --json scores.json
    python tools/fill_card.py NAME [scores.json]

Costs are counted and measured anew on this machine; scores come from the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import yaml

from facefort import runtime
from facefort.files import write_text
from facefort.models import load, zoo
from facefort.training.export import cost_of


def main() -> None:
    """Read the card, fill it and write it."""
    parser = argparse.ArgumentParser(description="Fill a card of the zoo.")
    parser.add_argument("name")
    parser.add_argument("scores", type=Path, nargs="?")
    parser.add_argument("--limits", help="what a reader must know beside the scores")
    options = parser.parse_args()
    entry = zoo.find(options.name)
    restorer = load(options.name).on(runtime.choose("cpu"))
    new = {**cost_of(restorer, entry.weights), "licence_of_the_method": restorer.architecture.licence}
    if options.scores:
        new["scores"] = json.loads(options.scores.read_text(encoding="utf-8"))
    if options.limits:
        new["limits"] = options.limits
    text = yaml.safe_dump({**entry.card, **new}, sort_keys=False, allow_unicode=True, width=100)
    write_text(entry.weights.with_suffix(".yaml"), text)


if __name__ == "__main__":
    main()
