"""Reading the parameters of a TorchScript file without running its program.

A TorchScript file is a zip archive: ``data.pkl`` pickles the tree of modules with their attributes, ``data/N`` holds
the bytes of storage N. The unpickler here can build float32 tensors and inert stand-ins for modules, nothing else.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facefort.errors import UnsafeCheckpointError, WeightsError

_STORAGE = ("torch", "FloatStorage")


def read_parameters(path: Path) -> dict[str, Tensor]:
    """The parameters of a TorchScript module: dotted name -> float32 tensor, in the order of the file.

    Raises:
        WeightsError: not a TorchScript file, damaged, or with numbers that are not finite.
        UnsafeCheckpointError: its pickle asks for more than modules and float32 tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
            tree = _Reader(archive, root).load()
    except (zipfile.BadZipFile, StopIteration, OSError, EOFError, KeyError, IndexError, ValueError, TypeError) as error:
        raise WeightsError(f"{path.name} is not a whole TorchScript file ({error})") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path.name} is damaged ({error})") from error
    found = dict(_walk(tree, "")) if isinstance(tree, _Module) else {}
    if not found:
        raise WeightsError(f"{path.name} holds no parameters")
    if not all(bool(value.isfinite().all()) for value in found.values()):
        raise WeightsError(f"{path.name} holds numbers that are not finite")
    return found


class _Module:
    """Stand-in for a module of the file: its attributes lie in ``__dict__``."""


def _walk(node: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(node).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _walk(value, f"{prefix}{name}.")


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(BytesIO(archive.read(f"{root}data.pkl")))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch.jit._pickle", "build_intlist"): list,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if module.startswith("__torch__."):
            return _Module
        if (module, name) == _STORAGE:
            return _STORAGE
        if (module, name) not in known:
            raise UnsafeCheckpointError(f"the TorchScript file asks for {module}.{name}; refused, nothing was run")
        return known[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:  # noqa: ANN401
        kind, storage, key, _, count = pid
        if kind != "storage" or storage is not _STORAGE:
            raise pickle.UnpicklingError("a tensor that is not float32")
        values = np.frombuffer(self._archive.read(f"{self._root}data/{key}"), "<f4")
        if len(values) != count:
            raise pickle.UnpicklingError(f"storage {key} is cut short")
        return values


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], *_: object) -> Tensor:
    """Rebuild a contiguous tensor; the carrier's are."""
    count = int(np.prod(size, dtype=np.int64))
    return torch.from_numpy(storage[offset : offset + count].astype(np.float32).reshape(size))
