"""Settings of an audit."""

from __future__ import annotations

from dataclasses import dataclass

from facefort.config import option

NO_DEGRADATION = "none"


@dataclass(frozen=True)
class AuditSettings:
    """What is audited, on which faces, under which attacks."""

    model: str = option("name of a restorer, or path of a checkpoint", flags=("-m",))
    faces: str = option("aligned faces: synthetic:FIRST..LAST, samples, or a folder", "synthetic:8000..8063")
    preset: str = option("degradation of the faces; none if they are of low quality already", "gfpgan")
    limit: int | None = option("use only the first faces", None, low=1)
    eps: tuple[str, ...] = option(
        "budgets of the attacks, as fractions of the range; none for quality only",
        ("1/255", "2/255", "4/255", "8/255", "16/255"),
    )
    objectives: tuple[str, ...] = option("what the attacks raise", ("pix_self",))
    steps: int = option("gradient steps per attack", 20, low=1)
    restarts: int = option("random starts per attack", 1, low=1)
    batch: int = option("faces at a time; what fits into memory", 4, low=1)
    pictures: int = option("how many faces to keep pictures of, the least stable ones", 12, low=0)
    seed: int = option("seed of degradations and random starts", 0)
    device: str = option("device", "auto")
    precision: str = option("arithmetic of the networks", "fp32", choices=("auto", "fp32", "bf16"))
