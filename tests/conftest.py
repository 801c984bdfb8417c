"""Shared fixtures: where the face collection lies, which fetched files are at hand, a tiny picture maker."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fetch what the tests look with, once; without a network they skip with the reason."""
    from facefort import assets
    from facefort.errors import WeightsError

    absent = assets.missing(name for name, asset in assets.ASSETS.items() if not asset.research_only)
    if not absent or os.environ.get("FACEFORT_OFFLINE"):
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    terminal.write_line(f"fetching {', '.join(absent)} (once; set FACEFORT_OFFLINE=1 to do without)")

    def fetch(name: str) -> None:
        try:
            assets.fetch(name)
        except WeightsError as error:
            terminal.write_line(f"{name}: {error}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, absent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from facefort.assets import is_present

    shared = _shared()
    for item in items:
        for marker in item.iter_markers("weights"):
            absent = [name for name in marker.args if not is_present(name)]
            if absent:
                fix = f"facefort weights fetch {' '.join(absent)}"
                item.add_marker(pytest.mark.skip(reason=f"not fetched: {', '.join(absent)} ({fix})"))
        if shared is None and item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason="the face collection is not beside the checkout"))


def _shared() -> Path | None:
    place = Path(os.environ.get("FACEFORT_SHARED", ROOT.parent / "shared")) / "data"
    return place if place.is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the face collection (`data/`); only for tests marked `shared`."""
    place = _shared()
    assert place is not None, "mark the test with pytest.mark.shared"
    return place


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
