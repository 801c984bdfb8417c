"""Adversarial examples for restorers: objective x region x budget, through one lean loop."""

from facefort.attacks.budget import Budget
from facefort.attacks.control import random_signs
from facefort.attacks.objectives import OBJECTIVES, Objective, Subject
from facefort.attacks.sweep import Adversarial, attack

__all__ = ["OBJECTIVES", "Adversarial", "Budget", "Objective", "Subject", "attack", "random_signs"]
