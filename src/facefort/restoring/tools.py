"""Loading what a restoration needs."""

from __future__ import annotations

from facefort.faces.detect import detector
from facefort.models import load
from facefort.models.judges.identity import recogniser
from facefort.models.restorer import Restorer
from facefort.restoring.pipeline import Tools
from facefort.restoring.settings import RestoreSettings
from facefort.runtime import choose

RECOGNISER = "dlib"


def load_tools(settings: RestoreSettings, restorer: Restorer | None = None) -> Tools:
    """The networks that ``settings`` name.

    Args:
        settings: names, device and thresholds.
        restorer: the model itself, instead of the one that ``settings.model`` names.

    Raises:
        WeightsError: one of them is missing or damaged.
        UnsafeCheckpointError: the model's file would run code.
        UnknownNameError: no such model or detector.
        UsageError: no such device here.
    """
    runtime = choose(settings.device, settings.precision)
    return Tools(
        restorer=(restorer or load(settings.model)).on(runtime),
        detector=detector(settings.detector, threshold=settings.threshold, min_size=settings.min_face),
        judge=recogniser(RECOGNISER),
    )
