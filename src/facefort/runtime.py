"""How a computation runs: device, threads, precision, memory format and seeds, decided once, here."""

from __future__ import annotations

import contextlib
import os
import platform
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from facefort.errors import UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h


@dataclass(frozen=True)
class Runtime:
    """Where and how tensors are computed.

    Attributes:
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: "fp32", or "bf16" for autocast in networks (parameters and pictures stay float32).
        threads: intra-op threads of torch; 0 keeps torch's own choice.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    threads: int = 0

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Run a network's forward pass in this runtime's precision."""
        import torch

        if self.precision == "fp32":
            yield
            return
        with torch.autocast(self.device.split(":")[0], torch.bfloat16):
            yield

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """Move a network to the device, in the channels-last memory format that CPU and GPU convolve fastest."""
        import torch

        module.to(self.device)
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        return module


def choose(device: str = "auto", precision: str = "auto", threads: int = 0) -> Runtime:
    """Resolve what the user asked for against what this machine has.

    ``auto`` takes a GPU where there is one, and bfloat16 where the processor computes it natively.

    Raises:
        UsageError: the device is not there, or a name is unknown.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"no CUDA device here for --device {device}; use --device cpu")
    if precision == "auto":
        precision = "bf16" if device.startswith("cuda") or has_bf16() else "fp32"
    if precision not in ("fp32", "bf16"):
        raise UsageError(f"unknown precision '{precision}'; known: auto, bf16, fp32")
    if threads > 0:
        torch.set_num_threads(threads)
    return Runtime(device, "bf16" if precision == "bf16" else "fp32", threads)


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX); emulation is slower than float32."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def keep_freed_memory() -> None:
    """Have glibc keep the large blocks that are freed instead of giving each back to the system.

    A network frees and asks for blocks of the same sizes all the time; to have them mapped and cleared anew takes five
    to twelve percent of a restorer's time. For a program of one's own, not for a library: it holds for the process.
    """
    import ctypes

    if platform.system() != "Linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for setting, size in ((_MMAP_THRESHOLD, 2**25), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**28)):
            mallopt(setting, size)


def is_traced() -> bool:
    """Whether a graph for another program is being recorded, which has no functions of this one's own."""
    import torch

    return bool(torch.jit.is_tracing() or torch.compiler.is_compiling())  # type: ignore[attr-defined, no-untyped-call]


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries still read the global generator
    torch.manual_seed(seed)


def generator(*key: int | str) -> torch.Generator:
    """A CPU random generator that depends on nothing but ``key`` (seed, picture name, restart ...)."""
    import hashlib

    import torch

    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def describe(runtime: Runtime) -> dict[str, str | int]:
    """What a reader of a result must know of the machine: never a path, never a host name."""
    import torch

    return {
        **asdict(runtime),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 1,
        "processor": _processor(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": platform.system(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
