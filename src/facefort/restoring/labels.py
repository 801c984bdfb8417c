"""A name for every photo of a run: its file name, unless another photo has it already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Known:
    """A photo that has a name.

    Attributes:
        key: hash of its content.
        label: its name.
        final: its results stand, so that another photo cannot take its place. A photo of an earlier session that could
            not be read at all is not: the user will have copied it again, under the same name.
    """

    key: str
    label: str
    final: bool


class Labels:
    """Names that no two photos of a run share, the same in every session.

    A label is the file name, ``old.jpg``; where a photo of other content has that name without its ending, in another
    folder or with another ending, it is ``old-1a2b3c4d.jpg``, after the content. The results of a photo are named by
    its label without the ending, which is why that must be unique.
    """

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def add(self, known: Known) -> None:
        """Record a name that has been given."""
        self._known[_key(known.label)] = known

    def claim(self, path: PurePath, key: str) -> str:
        """The label of a photo, new or given earlier.

        Args:
            path: the photo.
            key: what tells it from other photos: the hash of its content.
        """
        plain, long = candidates(path, key)
        holder = self._known.get(_key(plain))
        is_free = holder is None or not holder.final or (holder.key, holder.label) == (key, plain)
        label = plain if is_free else long
        self.add(Known(key, label, final=True))
        return label

    def has(self, path: PurePath) -> bool:
        """Whether a photo of that name, though perhaps of other content, has a label."""
        return _key(path.name) in self._known


def candidates(path: PurePath, key: str) -> tuple[str, str]:
    """The labels that a photo can have: its file name, and the one that is its own for certain."""
    return path.name, f"{path.stem}-{key[:8]}{path.suffix}"


def stem(label: str) -> str:
    """What the files of a photo's results begin with."""
    return PurePath(label).stem


def _key(label: str) -> str:
    """Equal for names that some file system takes for one."""
    return stem(label).casefold()
