"""Audits of a restorer: how well it restores, what a small perturbation does to it, and what that means."""

from facefort.audit.plan import Cell, plan
from facefort.audit.run import run
from facefort.audit.settings import AuditSettings
from facefort.audit.verdict import Finding, findings

__all__ = ["AuditSettings", "Cell", "Finding", "findings", "plan", "run"]
