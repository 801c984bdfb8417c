"""libvips runs without calling back into Python."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from facefort.pictures.photo import Photo


def test_libvips_logs_through_no_python_callback(tmp_path, rng, caplog: pytest.LogCaptureFixture):
    """A ctrl-C that arrives in such a callback is printed and lost, and the run goes on."""
    with caplog.at_level(logging.DEBUG):
        Photo.from_array(rng.random((200, 300, 3)).astype(np.float32)).write(tmp_path / "a.jpg")
        Photo.read(tmp_path / "a.jpg")
    assert not [record for record in caplog.records if record.getMessage().startswith("VIPS: ")]
