"""Blind face restorers, one file per published method."""

from __future__ import annotations

from facefort.models.spec import Architecture
from facefort.registry import Registry

RESTORERS: Registry[Architecture] = Registry("restorer")
RESTORERS.add("gfpgan", "facefort.models.restorers.gfpgan:ARCHITECTURE", title="GFP-GAN (clean)", year=2021)
RESTORERS.add("gpen", "facefort.models.restorers.gpen:ARCHITECTURE", title="GPEN", year=2021)
RESTORERS.add("hifacegan", "facefort.models.restorers.hifacegan:ARCHITECTURE", title="HiFaceGAN", year=2020)
