"""Audits of a restorer: how well it restores, what a small perturbation does to it, and what that means."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facefort.audit.settings import AuditSettings
    from facefort.audit.verdict import Finding, findings

# Imported when asked for: the settings alone, which `--help` shows, need no torch. The work itself is
# `facefort.audit.run.run`.
_HOME = {"AuditSettings": "settings", "Finding": "verdict", "findings": "verdict"}

__all__ = ["AuditSettings", "Finding", "findings"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'facefort.audit' has no attribute '{name}'")
    return getattr(importlib.import_module(f"facefort.audit.{_HOME[name]}"), name)
