"""Blind face restorers, one file per published method, and a plain U-Net as their baseline."""

from __future__ import annotations

from facefort.models.spec import Architecture
from facefort.registry import Registry

RESTORERS: Registry[Architecture] = Registry("restorer")
RESTORERS.add("gfpgan", "facefort.models.restorers.gfpgan:ARCHITECTURE", title="GFP-GAN (clean)", year=2021)
RESTORERS.add("codeformer", "facefort.models.restorers.codeformer:ARCHITECTURE", title="CodeFormer", year=2022)
RESTORERS.add("restoreformer", "facefort.models.restorers.restoreformer:ARCHITECTURE", title="RestoreFormer", year=2022)
RESTORERS.add("jsfm", "facefort.models.restorers.jsfm:ARCHITECTURE", title="JSFM-GAN", year=2025)
RESTORERS.add("mssg", "facefort.models.restorers.mssg:ARCHITECTURE", title="MSSG-Net", year=2025)
RESTORERS.add("vqfr", "facefort.models.restorers.vqfr:ARCHITECTURE", title="VQFR v1", year=2022)
RESTORERS.add("vqfr_v2", "facefort.models.restorers.vqfr_v2:ARCHITECTURE", title="VQFR v2", year=2022)
RESTORERS.add("gpen", "facefort.models.restorers.gpen:ARCHITECTURE", title="GPEN", year=2021)
RESTORERS.add("hifacegan", "facefort.models.restorers.hifacegan:ARCHITECTURE", title="HiFaceGAN", year=2020)
RESTORERS.add("unet", "facefort.models.restorers.unet:ARCHITECTURE", title="U-Net (baseline)", year=2015)
