"""What the published sizes cost: CPU time and memory of one aligned face of 512 px, and of its input gradient.

    python benchmarks/restorer_cost.py [--repeats 5] [--only codeformer restoreformer gfpgan] [--no-gradient] [--peers]

CPU seconds (not wall time) of one thread, batch 1, random weights, which cost what trained ones do; median after a
warm-up. Each cell is a process of its own, so that its peak of memory is its own. A gradient is that of the mean
square of the output with respect to the picture, weights frozen: one step of an attack. bfloat16 is autocast, and
beside it stands how far its picture is from float32's and, for CodeFormer, the share of codes that stay the same:
random weights make nearly equal logits, trained ones differ more. With ``--peers`` the authors' code is timed too, in
float32 as it ships (packages as in `parity_with_peers.py`). Exits with 1 if a forward pass in bfloat16 or the memory
of a gradient exceeds its limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from facefort.models import build
from facefort.models.restorer import Restorer
from facefort.runtime import Runtime

NAMES = ("codeformer", "restoreformer", "gfpgan")
LIMITS = {"codeformer": 3.1, "restoreformer": 2.5, "gfpgan": 1.85}  # CPU-s, forward pass in bfloat16
GIB = {"codeformer": 3.0, "restoreformer": 3.0}  # gradient, either precision


def restorer(name: str, precision: str) -> Restorer:
    torch.manual_seed(0)
    made = build(name).requires_grad_(False)
    return made.on(Runtime("cpu", "bf16" if precision == "bf16" else "fp32"))


def official(name: str) -> nn.Module:
    from parity_with_peers import peer, prepare

    prepare()
    if name == "codeformer":
        network = peer("codeformer.basicsr.archs.codeformer_arch").CodeFormer()
    elif name == "restoreformer":
        settings = {"ch": 64, "ch_mult": (1, 2, 2, 4, 4, 8), "attn_resolutions": (16,), "head_size": 8}
        with contextlib.redirect_stdout(None):
            network = peer("gfpgan.archs.restoreformer_arch").RestoreFormer(**settings)
    else:
        settings = {"fix_decoder": False, "input_is_latent": True, "different_w": True, "sft_half": True}
        network = peer("gfpgan.archs.gfpganv1_clean_arch").GFPGANv1Clean(512, channel_multiplier=2, **settings)
    return network.eval().requires_grad_(False)


def call(name: str, who: str) -> Callable[[Tensor], Tensor]:
    """The network as a function of pictures in [0, 1]."""
    if who != "peer":
        return restorer(name, who)
    network = official(name)
    arguments = {"codeformer": {"w": 0.5, "adain": True}, "gfpgan": {"randomize_noise": False}}.get(name, {})
    return lambda x: network(x * 2 - 1, **arguments)[0]


def cell(name: str, who: str, work: str, repeats: int) -> dict[str, float]:
    """Median CPU seconds and peak memory of one network (who: fp32, bf16, peer) at one kind of work."""
    run = call(name, who)
    x = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))

    def once() -> None:
        if work == "forward":
            with torch.no_grad():
                run(x)
        else:
            z = x.clone().requires_grad_()
            torch.autograd.grad(run(z).square().mean(), z)

    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        once()
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": statistics.median(times[1:]), "gib": peak}


def parity(name: str) -> dict[str, float]:
    """How far bfloat16's picture is from float32's."""
    x = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    made = restorer(name, "fp32")
    with torch.no_grad():
        exact = made(x)
        rough = made.on(Runtime("cpu", "bf16"))(x)
    scale = float(exact.max() - exact.min())
    result = {"psnr": 20 * math.log10(scale / float((rough - exact).square().mean().sqrt()))}
    if name == "codeformer":
        logits = []
        for precision in ("fp32", "bf16"):
            with torch.no_grad(), Runtime("cpu", "bf16" if precision == "bf16" else "fp32").autocast():
                logits.append(made.network(x * 2 - 1, code_only=True)[0])
        result["codes"] = float((logits[0].argmax(-1) == logits[1].argmax(-1)).float().mean())
    return result


def apart(*arguments: str) -> dict[str, float]:
    """One cell in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--no-gradient", action="store_true")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.cell:
        name, who, work = options.cell
        print(json.dumps(parity(name) if work == "parity" else cell(name, who, work, options.repeats)))
        return 0
    print(f"512 px, batch 1, median of {options.repeats}, one thread, torch {torch.__version__}\n")
    print("| network | work | arithmetic | CPU-s | peak GiB | limit |\n|---|---|---|---|---|---|")
    good = True
    for name in options.only:
        for work in ("forward",) if options.no_gradient else ("forward", "gradient"):
            for who in ("peer", "fp32", "bf16") if options.peers else ("fp32", "bf16"):
                got = apart("--cell", name, who, work, "--repeats", str(options.repeats))
                limit = "-"
                if work == "forward" and who == "bf16":
                    limit = f"{LIMITS[name]} CPU-s"
                    good &= got["seconds"] <= LIMITS[name]
                elif work == "gradient" and who != "peer" and name in GIB:
                    limit = f"{GIB[name]:.0f} GiB"
                    good &= got["gib"] <= GIB[name]
                label = "fp32, authors' code" if who == "peer" else who
                print(f"| {name} | {work} | {label} | {got['seconds']:.2f} | {got['gib']:.2f} | {limit} |", flush=True)
    print("\n| network | bf16 against fp32, PSNR in the picture's own range | same codes |\n|---|---|---|")
    for name in options.only:
        got = apart("--cell", name, "bf16", "parity")
        print(
            f"| {name} | {got['psnr']:.1f} dB | {got['codes']:.1%} |"
            if "codes" in got
            else f"| {name} | {got['psnr']:.1f} dB | - |"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
