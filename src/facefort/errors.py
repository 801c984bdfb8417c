"""Every error that facefort raises on purpose.

The tree is shallow, and each branch carries the exit code that the command line returns for it. A message is one
line for a person: what is wrong, with what, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_THRESHOLD = 3
EXIT_INTERRUPTED = 130


class FacefortError(Exception):
    """Something that the user can do something about. Exit code 1 unless a subclass says otherwise."""

    exit_code: int = EXIT_FAILED


class UsageError(FacefortError):
    """The call itself is wrong: an unknown name, a bad value, contradicting options."""

    exit_code = EXIT_USAGE


class UnknownNameError(UsageError):
    """A name that no registry knows; the message offers the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} '{name}'{suggest(name, known)}")
        self.kind = kind
        self.name = name


class ConfigError(UsageError):
    """A settings file or option that does not validate."""


class PictureError(FacefortError):
    """A picture that cannot be read, or is not one."""


class FaceError(FacefortError):
    """A face that cannot be used: too small, cut off, or its landmarks make no sense."""


class WeightsError(FacefortError):
    """Weights that are missing, damaged or of another model."""


class UnsafeCheckpointError(WeightsError):
    """A checkpoint whose unpickling would run code."""


class ModelError(FacefortError):
    """A model that breaks its contract: NaN, another size, a changed state."""


class TrainingError(FacefortError):
    """A training run that cannot start or go on."""


class OutputError(FacefortError):
    """A place that cannot be written: no permission, no space, a folder where a file should be."""


class ThresholdError(FacefortError):
    """The work was done and a threshold was not met."""

    exit_code = EXIT_THRESHOLD


def suggest(name: str, known: Iterable[str]) -> str:
    """Ending of a message about an unknown name: the nearest known names, or all of them where they are few."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; known: {shown}"
