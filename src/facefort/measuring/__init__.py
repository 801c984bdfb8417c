"""Pictures in, numbers out: metrics of folders, with every definition named and nothing left out in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facefort.measuring.result import Measurement


def measure(
    test: Path | str,
    reference: Path | str | None = None,
    metrics: Sequence[str] = (),
    **settings: Any,  # noqa: ANN401 - fields of MeasureSettings
) -> Measurement:
    """Measure pictures, alone or against reference pictures of the same names.

        found = facefort.measure("restored/", "clean/", metrics=["lpips-vgg", "niqe"])
        found["lpips-vgg"].mean, found.failed

    A picture that could not be measured is a row that says so: look at ``found.failed``.

    Args:
        test: a folder, a file, a pattern, or the folder of a restore run.
        reference: what to compare with, paired by file name without ending.
        metrics: names or patterns; nothing: a usual choice.
        settings: other fields of :class:`facefort.measuring.settings.MeasureSettings`, such as
            ``protocol="gfpgan"`` or ``pair_suffix="_00"``.

    Raises:
        UsageError: no pictures, an unknown metric, or settings that do not fit together.
    """
    from facefort import config
    from facefort.measuring.run import run
    from facefort.measuring.settings import MeasureSettings

    values = {"test": str(test), "reference": str(reference or ""), "metrics": list(metrics), **settings}
    return run(config.validate(MeasureSettings, values))


__all__ = ["measure"]
