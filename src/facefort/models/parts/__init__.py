"""Networks that restorers are made with and learn from: parsers, codebooks, generators. Alone they restore nothing."""

from __future__ import annotations

from facefort.models.spec import Architecture
from facefort.registry import Registry

PARTS: Registry[Architecture] = Registry("part")
PARTS.add("gfpgan_prior", "facefort.models.parts.priors:GFPGAN", title="the GAN prior of GFP-GAN", year=2021)
PARTS.add("gpen_prior", "facefort.models.parts.priors:GPEN", title="the GAN prior of GPEN", year=2021)
PARTS.add("parsenet", "facefort.models.parts.parsenet:ARCHITECTURE", title="ParseNet", year=2021)
PARTS.add("vqgan", "facefort.models.parts.vqgan:ARCHITECTURE", title="VQGAN", year=2021)
PARTS.add("vqgan_v1", "facefort.models.parts.vqgan_v1:ARCHITECTURE", title="VQGAN of VQFR v1", year=2022)
PARTS.add("vqgan_v2", "facefort.models.parts.vqgan_v2:ARCHITECTURE", title="VQGAN of VQFR v2", year=2022)
