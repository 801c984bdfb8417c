"""Restore one photo and read what is known of each face afterwards."""

from pathlib import Path

import facefort
from facefort import samples

restored = facefort.restore(samples.photos()[0])
restored.photo.write(Path("restored.png"))
for face in restored.faces:
    print(face.index, face.status, face.same_person, face.warnings)
