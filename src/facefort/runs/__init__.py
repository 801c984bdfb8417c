"""A run is a folder: settings, one durable row per unit of work, provenance and pictures; resumable, readable live."""

from facefort.runs.folder import RunFolder
from facefort.runs.provenance import provenance
from facefort.runs.rows import Row

__all__ = ["Row", "RunFolder", "provenance"]
