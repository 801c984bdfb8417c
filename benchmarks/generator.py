"""CPU time of one generated face of 1024 px: float32 and bfloat16, alone and in batches, OpenVINO beside them.

    python benchmarks/generator.py [--repeats 7]

CPU time (not wall time) of one thread, median and quartiles per face after one warm-up, so that other work on the
machine disturbs it little. OpenVINO, the runtime that the weights were made for, is
measured where it is installed; both of its precisions are, because its own choice on a processor with bfloat16 is
bfloat16. The last column is the largest difference of a pixel from float32 here.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from facefort.assets import path
from facefort.models.prior import FacePrior, latent, prior
from facefort.runtime import Runtime

Draw = Callable[[], Tensor]
Name = tuple[str, str]  # runtime, precision


def seconds(draws: dict[Name, Draw], repeats: int) -> dict[Name, tuple[float, float, float]]:
    """Lower quartile, median and upper quartile of each; they take turns, so that a busy minute hits all of them."""
    taken: dict[Name, list[float]] = {name: [] for name in draws}
    for _ in range(repeats + 1):
        for name, draw in draws.items():
            start = time.process_time()
            draw()
            taken[name].append(time.process_time() - start)
    return {name: tuple(statistics.quantiles(times[1:], n=4)) for name, times in taken.items()}


def here(model: FacePrior, w: Tensor, precision: str) -> Draw:
    """This package's generator."""
    runtime = Runtime(precision=precision)

    def draw() -> Tensor:
        with torch.inference_mode(), runtime.autocast():
            return model.synthesis(w)

    return draw


def openvino(w: Tensor, precision: str) -> Draw:
    """The carrier package's runtime; its network takes one face at a time unless it is reshaped."""
    from openvino import Core

    core = Core()
    network = core.read_model(path("mobilestylegan", "SynthesisNetwork.xml"))
    network.reshape(list(w.shape))
    chosen = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(network, "CPU", chosen)

    def draw() -> Tensor:
        return torch.from_numpy(np.clip(compiled([w.numpy()])[0] / 2 + 0.5, 0, 1))

    return draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = prior()
    print(f"1024 px, median of {options.repeats} after a warm-up, one thread, torch {torch.__version__}\n")
    print("| runtime | precision | batch | CPU-s per face | quartiles | largest difference |")
    print("|---|---|---|---|---|---|")
    for batch in (1, 4):
        with torch.inference_mode():
            w = model.truncate(model.mapping(torch.cat([latent(seed) for seed in range(batch)])), 0.75)
            exact = model.synthesis(w)
        draws = {("this package", "fp32"): here(model, w, "fp32")}
        draws[("this package, autocast", "bf16")] = here(model, w, "bf16")
        if importlib.util.find_spec("openvino"):
            draws[("OpenVINO", "fp32")] = openvino(w, "f32")
            draws[("OpenVINO", "bf16")] = openvino(w, "bf16")
        for name, quartiles in seconds(draws, options.repeats).items():
            low, middle, high = (value / batch for value in quartiles)
            difference = float((draws[name]() - exact).abs().max())
            print(f"| {name[0]} | {name[1]} | {batch} | {middle:.2f} | {low:.2f} to {high:.2f} | {difference:.4f} |")


if __name__ == "__main__":
    main()
