from __future__ import annotations

import numpy as np
import pytest

from facefort import samples
from facefort.pictures.photo import Photo


@pytest.fixture(scope="session")
def portraits() -> list[np.ndarray]:
    """Shipped faces, (256, 256, 3) float32 RGB, aligned."""
    return [Photo.read(path).pixels for path in samples.faces()]
