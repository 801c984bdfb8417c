"""libvips, set up once: import ``pyvips`` from here, so that no picture is read with other settings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

# Before libvips starts: what it only warns of is not printed. What cannot be read raises.
os.environ.setdefault("VIPS_WARNING", "1")

import pyvips

__all__ = ["CodecError", "complaints", "pyvips"]

# pyvips logs every message of libvips through a Python callback, and a ctrl-C that arrives in a callback of C is
# printed and then lost: the run would go on.
pyvips._remove_log_handler()

# Every photo is decoded once from its own bytes: remembered operations would only hold memory.
pyvips.cache_set_max(0)
# A codec keeps two threads busy, seldom more; several workers of one machine must not start one per core each.
if "VIPS_CONCURRENCY" not in os.environ:
    pyvips.concurrency_set(min(4, os.cpu_count() or 1))


class CodecError(Exception):
    """What libvips complained of, in one line."""


@contextlib.contextmanager
def complaints() -> Iterator[None]:
    """Turn every failure of libvips into a :class:`CodecError`."""
    try:
        yield
    except pyvips.Error as error:
        raise CodecError(_gist(str(error))) from None
    except UnicodeDecodeError:
        # The complaint quotes bytes of the file. pyvips fails to read it and leaves it in libvips's buffer, where it
        # would make the next, innocent picture fail too.
        pyvips.vips_lib.vips_error_clear()
        raise CodecError("its structure makes no sense") from None


def _gist(complaint: str) -> str:
    """The codec's own last words, without the frame and the failed attempts that libvips reports before them."""
    _frame, *words = [line.strip() for line in complaint.splitlines() if line.strip()]
    return words[-1] if words else "no reason given"
