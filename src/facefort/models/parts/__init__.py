"""Networks that restorers are made with and learn from: parsers and codebooks. They restore nothing by themselves."""

from __future__ import annotations

from facefort.models.spec import Architecture
from facefort.registry import Registry

PARTS: Registry[Architecture] = Registry("part")
PARTS.add("parsenet", "facefort.models.parts.parsenet:ARCHITECTURE", title="ParseNet", year=2021)
PARTS.add("vqgan", "facefort.models.parts.vqgan:ARCHITECTURE", title="VQGAN", year=2021)
PARTS.add("vqgan_v1", "facefort.models.parts.vqgan_v1:ARCHITECTURE", title="VQGAN of VQFR v1", year=2022)
PARTS.add("vqgan_v2", "facefort.models.parts.vqgan_v2:ARCHITECTURE", title="VQGAN of VQFR v2", year=2022)
