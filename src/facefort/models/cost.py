"""What a restorer costs: floating-point operations, counted, and CPU time, measured."""

from __future__ import annotations

import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from facefort.models.restorer import Restorer

_RUNS = 7


def gflop(restorer: Restorer) -> float:
    """Billions of operations (a multiply and an add are two) of one face, in convolutions and matrix products."""
    face = _face(restorer)
    wanted = [(value, value.requires_grad) for value in restorer.parameters()]
    restorer.requires_grad_(False)  # the counter's hooks take no parameters that wait for a gradient
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            restorer(face)
    finally:
        for value, before in wanted:
            value.requires_grad_(before)
    return float(counter.get_total_flops()) / 1e9


def cpu_milliseconds(restorer: Restorer) -> float:
    """CPU time of one face on one thread of this machine, in the restorer's precision; median of seven runs."""
    face = _face(restorer)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            restorer(face)
            taken = []
            for _ in range(_RUNS):
                start = time.process_time()
                restorer(face)
                taken.append(1000 * (time.process_time() - start))
    finally:
        torch.set_num_threads(threads)
    return statistics.median(taken)


def _face(restorer: Restorer) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, restorer.size, restorer.size, generator=numbers).to(restorer.runtime.device)


__all__ = ["cpu_milliseconds", "gflop"]
