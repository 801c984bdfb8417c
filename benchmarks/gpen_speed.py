"""CPU time of one aligned face of 512 px through GPEN, torch alone, beside the authors' own code.

    pip install --no-deps modelscope==1.40.2
    python benchmarks/gpen_speed.py [--repeats 7]

The published configuration with random weights, one thread. CPU time (not wall time), the least and the quartiles
after a warm-up; all take turns. Where the machine is shared, others' work still costs cache and memory bandwidth: the
least is nearest to what the code itself takes. The last columns compare with the peer's float32 picture, on [-1, 1].
Without `modelscope` the peer's row is left out and the comparison is with this package's own float32.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable

import torch
from parity_gpen_hifacegan import faces, gpen_peer, shaken
from torch import Tensor

from facefort.models.restorers.gpen import FullGenerator
from facefort.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours = shaken(FullGenerator())
    x = faces(1, 512)
    runs: dict[tuple[str, str], Callable[[], Tensor]] = {}
    if importlib.util.find_spec("modelscope"):
        theirs = gpen_peer().FullGenerator(512, 512, 8).eval()
        theirs.load_state_dict(ours.state_dict(), strict=True)
        runs["the authors' code", "fp32"] = lambda: theirs(x)[0]
    Runtime().place(ours)
    laid = x.contiguous(memory_format=torch.channels_last)
    for precision in ("fp32", "bf16"):
        runtime = Runtime(precision=precision)  # type: ignore[arg-type]

        def restore(runtime: Runtime = runtime) -> Tensor:
            with runtime.autocast():
                return ours(laid)[0].float()

        runs["facefort", precision] = restore

    taken: dict[tuple[str, str], list[float]] = {name: [] for name in runs}
    pictures: dict[tuple[str, str], Tensor] = {}
    with torch.inference_mode():
        for _ in range(given.repeats + 1):
            for name, run in runs.items():
                start = time.process_time()
                pictures[name] = run()
                taken[name].append(time.process_time() - start)
    exact = next(iter(pictures.values()))
    print(f"GPEN, 512 px, one face, one thread, {given.repeats} repeats, torch {torch.__version__}\n")
    print("| | precision | CPU-s, least | quartiles | largest difference | rms difference |\n|---|---|---|---|---|---|")
    for name, times in taken.items():
        low, middle, high = statistics.quantiles(times[1:], n=4)
        off = pictures[name] - exact
        print(
            f"| {name[0]} | {name[1]} | {min(times[1:]):.2f} | {low:.2f}, {middle:.2f}, {high:.2f} "
            f"| {float(off.abs().max()):.1e} | {float(off.square().mean().sqrt()):.1e} |"
        )
    deviation = float(exact.std())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nThe picture's own standard deviation is {deviation:.2f}. Peak memory of the process {peak:.0f} MiB.")


if __name__ == "__main__":
    main()
