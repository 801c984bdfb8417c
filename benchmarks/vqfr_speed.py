"""CPU seconds of one aligned face of 512 px through VQFR in the published size, float32 and bfloat16.

    python benchmarks/vqfr_speed.py [--repeats 3]

CPU time of one thread, median after a warm-up, no gradient; weights are random (`parity_vqfr.py` draws them), which
changes the picture and not the work. What bfloat16 costs is told by its distance from float32, in a network that gets
the same codes, and by how many codes it changes: features near the border between two codes fall to the other side.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from parity_vqfr import draw, picture
from torch import Tensor

from facefort.models import build
from facefort.models.restorer import Restorer
from facefort.runtime import Runtime

CASES = [("vqfr", {}), ("vqfr_v2", {"fidelity_ratio": 0.0}), ("vqfr_v2", {"fidelity_ratio": 1.0})]


def codes(restorer: Restorer, x: Tensor, runtime: Runtime) -> Tensor:
    """Indices of the codes that a network chooses."""
    network = restorer.network
    with runtime.autocast():
        if restorer.architecture.name == "vqfr":
            vectors = network.codebook.quant_conv(*network.encode(x).values())
            return network.codebook(vectors)[2]
        return network.feat2index(network.encode(x).flatten(2).transpose(1, 2)).argmax(-1)


def same_codes(restorer: Restorer, indices: Tensor) -> None:
    """Make a network choose these codes, whatever its encoder says."""
    book = restorer.network.codebook if restorer.architecture.name == "vqfr" else restorer.network.quantizer
    fixed = book.codes(indices.view(1, 16, 16))
    if restorer.architecture.name == "vqfr":
        book.forward = lambda z: (fixed, z.new_zeros(()), indices)
    else:
        restorer.network._choose = lambda feature, found: fixed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = picture(512, 512)
    print(f"One thread, median of {options.repeats} after a warm-up, torch {torch.__version__}\n")
    print("| network | precision | CPU-s | mean difference in 8-bit steps | largest | codes changed of 256 |")
    print("|---|---|---|---|---|---|")
    for name, arguments in CASES:
        restorer = build(name, **arguments).requires_grad_(False)
        draw(restorer.network)
        with torch.no_grad():
            chosen = {precision: codes(restorer, x, Runtime(precision=precision)) for precision in ("fp32", "bf16")}
        same_codes(restorer, chosen["fp32"])
        exact = None
        for precision in ("fp32", "bf16"):
            restorer.on(Runtime(precision=precision))
            with torch.no_grad():
                times = []
                for _ in range(options.repeats + 1):
                    start = time.process_time()
                    restored = restorer(x / 2 + 0.5)
                    times.append(time.process_time() - start)
                exact = restored if exact is None else exact
                off = 255 * (restored - exact).abs()
            title = ", ".join([name, *(f"{key} {value}" for key, value in arguments.items())])
            row = f"{title} | {precision} | {statistics.median(times[1:]):.1f} | {off.mean():.2f} | {off.max():.0f}"
            print(f"| {row} | {int((chosen[precision] != chosen['fp32']).sum())} |", flush=True)


if __name__ == "__main__":
    main()
