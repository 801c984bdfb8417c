"""Degrade generated faces as GFP-GAN's training does, restore them, score both against the originals."""

import facefort
from facefort.metrics import metric
from facefort.models import zoo
from facefort.models.sources import faces
from facefort.pictures.degrade import degrade

restorer = facefort.load(zoo.DEFAULT)
batch = next(iter(faces("samples", restorer.size, limit=4).batches(4)))
degraded = degrade(batch.faces, "gfpgan", seed=1, names=batch.names)
restored = restorer.restore(degraded.pictures)
for name in ("psnr-rgb", "lpips-alex"):
    before, after = (metric(name)(pictures, batch.faces).mean().item() for pictures in (degraded.pictures, restored))
    print(f"{name}: {before:.3f} -> {after:.3f}")
