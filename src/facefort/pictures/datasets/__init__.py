"""Data sets as people have them on disk: recognised by their layout, checked, and read lazily.

:func:`recognise` says what a folder holds; :meth:`Dataset.check` what is missing of it.
"""

from facefort.pictures.datasets.dataset import Check, Dataset, Facts, Fault
from facefort.pictures.datasets.recognise import LAYOUTS, Layout, NotRecognisedError, recognise

__all__ = ["LAYOUTS", "Check", "Dataset", "Facts", "Fault", "Layout", "NotRecognisedError", "recognise"]
