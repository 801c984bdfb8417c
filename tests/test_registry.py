from __future__ import annotations

import sys

import pytest

from facefort.errors import EXIT_USAGE, UnknownNameError
from facefort.registry import Registry


@pytest.fixture
def shelf() -> Registry[object]:
    registry: Registry[object] = Registry("tool")
    registry.add("colour", "colorsys:rgb_to_hsv", year=1978)
    registry.add("colour-back", "colorsys:hsv_to_rgb")
    return registry


def test_nothing_is_imported_before_it_is_asked_for(shelf: Registry[object]) -> None:
    sys.modules.pop("colorsys", None)
    assert shelf.names() == ["colour", "colour-back"]
    assert "colorsys" not in sys.modules
    import colorsys

    assert shelf.get("colour") is colorsys.rgb_to_hsv


def test_a_duplicate_is_refused(shelf: Registry[object]) -> None:
    with pytest.raises(ValueError, match="registered twice"):
        shelf.add("colour", "colorsys:rgb_to_yiq")


def test_a_target_without_attribute_is_refused(shelf: Registry[object]) -> None:
    with pytest.raises(ValueError, match=r"package\.module:attribute"):
        shelf.add("other", "colorsys.rgb_to_yiq")


def test_an_unknown_name_offers_its_neighbours(shelf: Registry[object]) -> None:
    with pytest.raises(UnknownNameError, match="unknown tool 'color'; did you mean colour") as caught:
        shelf.get("color")
    assert caught.value.exit_code == EXIT_USAGE


def test_patterns_and_facts(shelf: Registry[object]) -> None:
    assert shelf.names("*-back") == ["colour-back"]
    assert shelf.entry("colour").facts["year"] == 1978
    assert "colour" in shelf
    assert len(shelf) == 2
