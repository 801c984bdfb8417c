"""The cells of an audit: one for quality, one per objective, region and budget."""

from __future__ import annotations

from dataclasses import dataclass

from facefort.attacks import OBJECTIVES, Budget
from facefort.audit.settings import NO_DEGRADATION, AuditSettings
from facefort.errors import UsageError
from facefort.pictures.degrade import find_preset

QUALITY = "quality"
CONTROL = "random"
FULL = "full"


@dataclass(frozen=True)
class Attacked:
    """One attack.

    Attributes:
        objective: name of an objective, or "random" for noise of the same budget.
        region: where the perturbation may be.
        budget: how large it may be.
        index: place among the attacks of the plan; names the pictures.
    """

    objective: str
    region: str
    budget: Budget
    index: int


@dataclass(frozen=True)
class Cell:
    """A column of the experiment: every face is one row in it.

    Attributes:
        name: name in the run's rows.
        attack: None in the quality cell.
    """

    name: str
    attack: Attacked | None = None


def plan(settings: AuditSettings) -> list[Cell]:
    """The cells in the order of work: quality, then every objective and the control, from small to large budgets.

    Raises:
        UsageError: an unknown objective or degradation, a budget that is none, anything named twice, or an objective
            that needs the undamaged faces where there are none.
    """
    if settings.preset != NO_DEGRADATION:
        find_preset(settings.preset)
    budgets = sorted(Budget.parse(text) for text in settings.eps)
    for what, chosen in (("eps", budgets), ("objectives", list(settings.objectives))):
        if len(set(map(str, chosen))) < len(chosen):
            raise UsageError(f"{what} names something twice: {', '.join(map(str, chosen))}")
    for objective in settings.objectives:
        if OBJECTIVES.entry(objective).facts["reference"] and settings.preset == NO_DEGRADATION:
            raise UsageError(f"the objective {objective} needs undamaged faces; without a degradation there are none")
    kinds = [(objective, budget) for objective in (*settings.objectives, CONTROL) for budget in budgets]
    attacks = [Attacked(objective, FULL, budget, index) for index, (objective, budget) in enumerate(kinds)]
    return [Cell(QUALITY), *(Cell(f"{one.objective} {one.region} eps={one.budget}", one) for one in attacks)]
