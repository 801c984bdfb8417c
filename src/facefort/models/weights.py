"""Safe loading of checkpoints: safetensors, or pickles from which nothing but tensors and plain values is built."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from facefort.errors import UnsafeCheckpointError, WeightsError
from facefort.files import atomic, sha256_file

# Keys under which training programs wrap the weights, in the order of preference: averaged weights first.
WRAPPERS = ("params_ema", "g_ema", "params", "state_dict", "model", "net", "network", "generator", "params_d")
# Prefixes that wrap every key.
PREFIXES = ("module.", "vqvae.")
# Prefix of the network in checkpoints of Lightning that hold losses and discriminators beside it, which are left out.
NETWORK = "vqvae."
MAX_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one network as a flat state dict, and the file they came from."""

    state: dict[str, Tensor]
    file: str
    sha256: str
    wrapper: str


def read_checkpoint(path: Path, max_bytes: int = MAX_BYTES) -> Checkpoint:
    """Read a checkpoint without running anything that it holds.

    Args:
        path: .safetensors, .pth, .pt, .ckpt or .bin.
        max_bytes: larger files are refused before they are read.

    Raises:
        WeightsError: missing, empty, too large, damaged, or without tensors.
        UnsafeCheckpointError: a pickle that asks for more than tensors.
    """
    try:
        size = path.stat().st_size
    except OSError:
        raise WeightsError(f"no checkpoint at {path}; `facefort ls models` shows what ships") from None
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; name the checkpoint file in it")
    if size == 0:
        raise WeightsError(f"{path.name} is empty; download it again")
    if size > max_bytes:
        raise WeightsError(f"{path.name} is {size / 2**30:.1f} GiB, more than the {max_bytes / 2**30:.0f} GiB allowed")
    tree = _read_safetensors(path) if _is_safetensors(path) else read_pickle(path)
    wrapper, state = unwrap(tree)
    if not state:
        raise WeightsError(f"{path.name} holds no weights")
    return Checkpoint(state, path.name, sha256_file(path), wrapper)


def unwrap(tree: Any) -> tuple[str, dict[str, Tensor]]:  # noqa: ANN401
    """The state dict inside a checkpoint's tree, and the wrapper key it lay under ("" = bare)."""
    wrapper = ""
    while isinstance(tree, Mapping) and not any(isinstance(v, Tensor) for v in tree.values()):
        key = next((k for k in WRAPPERS if isinstance(tree.get(k), Mapping)), None)
        if key is None:
            return wrapper, {}
        tree, wrapper = tree[key], f"{wrapper}.{key}".lstrip(".")
    state = {str(k): v for k, v in tree.items() if isinstance(v, Tensor)} if isinstance(tree, Mapping) else {}
    for prefix in PREFIXES:
        inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if inner and (len(inner) == len(state) or prefix == NETWORK):
            state = inner
            wrapper = f"{wrapper}.{prefix.rstrip('.')}".lstrip(".")
    return wrapper, state


Network = TypeVar("Network", bound=nn.Module)


def fill(network: Network, path: Path) -> Network:
    """Give a network the weights of a checkpoint, all of them and no others.

    Batch normalisation's count of batches, which old checkpoints lack and nothing uses, may be missing.

    Raises:
        WeightsError: missing, unreadable, not finite, or of another network.
        UnsafeCheckpointError: a pickle that asks for more than tensors.
    """
    state, own = read_checkpoint(path).state, network.state_dict()
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    state = {**counts, **state}
    absent, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if absent or extra:
        key, fault = (absent[0], "lacks") if absent else (extra[0], "has the unexpected")
        raise WeightsError(f"{path.name} is not of {type(network).__name__}: it {fault} {key}")
    for key, value in state.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[key].shape)}"
            raise WeightsError(f"{path.name} is not of {type(network).__name__}: {key} is {shapes}")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise WeightsError(f"{path.name} holds NaN or infinity in {key}; the file is damaged")
    network.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, strict=True)
    return network


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str], bf16: bool = True) -> None:
    """Write a state dict as safetensors, floats in bfloat16 unless told otherwise; whole or not at all."""
    from safetensors.torch import save

    kept = {
        key: (value.to(torch.bfloat16) if bf16 and value.is_floating_point() else value).contiguous()
        for key, value in state.items()
    }
    data = save(kept, dict(metadata))
    with atomic(path) as stream:
        stream.write(data)


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path.name} is damaged: {error}; download it again") from None


def read_pickle(path: Path) -> Any:  # noqa: ANN401
    """The tree that torch pickled, built of tensors and plain values only.

    Raises:
        WeightsError: not such a file, damaged or truncated.
        UnsafeCheckpointError: it asks for more.
    """
    try:
        # A stream rather than a path: torch looks at a path's suffix, and a suffix proves nothing.
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        names = _asked_for(path)
        if names:
            raise UnsafeCheckpointError(
                f"{path.name} was refused: unpickling it would call {', '.join(names[:3])}; nothing was run. "
                "Ask for the weights as .safetensors"
            ) from None
        raise WeightsError(f"{path.name} is not a checkpoint, or is damaged; download it again") from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, zipfile.BadZipFile):
        raise WeightsError(f"{path.name} is not a checkpoint, or is truncated; download it again") from None


# What a pickled state dict of torch needs; anything else that a refused file asks for is named to the user.
_INNOCENT = ("collections.OrderedDict", "torch.", "numpy")


def _asked_for(path: Path) -> list[str]:
    """Names of the functions and classes that a pickle would call, read without running it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                data = archive.read(inner)
        else:
            data = path.read_bytes()
        names, recent = [], ["", ""]
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                names.append(".".join(recent[-2:]))
            elif isinstance(argument, str):
                recent.append(argument)
    except (ValueError, StopIteration, OSError, zipfile.BadZipFile, IndexError):
        return []
    return sorted({name for name in names if not name.startswith(_INNOCENT)})
