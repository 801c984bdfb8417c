"""What each way to compute a restorer of published size costs, and how near its picture is to float32's.

    pip install 'facefort[openvino]'
    python benchmarks/ways.py [--repeats 5] [--only codeformer gfpgan ...]

CPU seconds (not wall time) of one thread, one aligned face, random weights, which cost what trained ones do; the least
and the median after a warm-up. Each cell is a process of its own. "Passes" is whether `facefort restore` would take the
way without being told (`facefort.models.ways`). Random weights make nearly equal logits, so that CodeFormer's and VQFR
2's codes flip in bfloat16 more than trained ones do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch

from facefort.models import build, conversion
from facefort.models.ways import GATE
from facefort.runtime import Runtime, has_bf16

NAMES = ("codeformer", "gfpgan", "gpen", "hifacegan", "jsfm", "mssg", "restoreformer", "vqfr", "vqfr_v2")
LIMITS = {"codeformer": (3.1, 2.0), "restoreformer": (2.5, 1.8), "gfpgan": (1.85, 0.9), "gpen": (1.6, 1.0)}
"""CPU-s of the fastest way with torch alone, and with OpenVINO."""


def cell(name: str, way: str, repeats: int) -> dict[str, float]:
    """Seconds and PSNR of one way, "torch bf16" for instance."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    restorer = build(name).requires_grad_(False).on(Runtime())
    face = conversion.probe(restorer.size, 1)
    exact = restorer.restore(face)
    backend, precision = way.split()
    precision = "bf16" if precision == "bf16" else "fp32"
    if backend == "torch":
        run = restorer.on(Runtime("cpu", precision)).restore
    else:
        run = conversion.run_openvino(conversion.to_openvino(restorer), precision, threads=1)
    found = conversion.Parity.of(run(face), exact)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run(face)
        times.append(time.process_time() - start)
    return {"median": statistics.median(times), "least": min(times), "psnr": min(found.psnr, 200.0)}


def apart(*arguments: str) -> dict[str, float]:
    """One cell in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(cell(*options.cell, options.repeats)))
        return
    print(f"512 px, one face, one thread, torch {torch.__version__}, {options.repeats} repeats\n")
    print("| network | way | CPU-s, median | least | PSNR to float32 | passes | aim |\n|---|---|---|---|---|---|---|")
    precisions = ("fp32", "bf16") if has_bf16() else ("fp32",)
    for name in options.only:
        for place, backend in enumerate(("torch", "openvino")):
            for precision in precisions:
                got = apart("--cell", name, f"{backend} {precision}", "--repeats", str(options.repeats))
                aim = f"{LIMITS[name][place]}" if name in LIMITS and precision == precisions[-1] else "-"
                near = "-" if (backend, precision) == ("torch", "fp32") else f"{got['psnr']:.1f} dB"
                passes = "yes" if got["psnr"] >= GATE else "no"
                print(
                    f"| {name} | {backend} {precision} | {got['median']:.2f} | {got['least']:.2f} | {near} | {passes} "
                    f"| {aim} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
