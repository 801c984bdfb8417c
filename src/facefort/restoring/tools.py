"""Loading what a restoration needs."""

from __future__ import annotations

from facefort.faces.detect import detector
from facefort.models import load, ways
from facefort.models.judges.identity import recogniser
from facefort.models.restorer import Restorer
from facefort.restoring.pipeline import Tools
from facefort.restoring.settings import RestoreSettings

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
    if restorer is None:
        restorer = load(settings.model)
        choice = ways.take(restorer, settings.device, settings.precision, settings.backend)
    else:
        # It may have been changed since it was loaded, so that nothing kept by its file holds for it.
        precision = "fp32" if settings.precision == "auto" else settings.precision
        choice = ways.take(restorer, settings.device, precision, "torch")
    return Tools(
        restorer=restorer,
        detector=detector(settings.detector, threshold=settings.threshold, min_size=settings.min_face),
        judge=recogniser(RECOGNISER),
        choice=choice,
    )
