"""What an attack costs beside the least it can cost: a forward pass and the gradient of the input, on the bare model.

Claims: one step of the loop takes at most 1.05 times that, eight budgets at most 8.2 times one budget, and
torchattacks' loop over the same network (with the same loss) is shown beside it where it can be imported.

    python benchmarks/attack_cost.py [--size 96] [--width 64] [--steps 10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from facefort.attacks import Budget, attack
from facefort.runtime import Runtime, generator

FACTOR_STEP, FACTOR_BUDGETS = 1.05, 8.2


class Victim(nn.Module):
    """A plain convolutional restorer with the surface that an attack uses."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        inner = [layer for _ in range(4) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
        self.network = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), *inner, nn.Conv2d(width, 3, 3, padding=1)
        )
        self.name, self.size, self.runtime = "victim", size, Runtime()
        self.to(memory_format=torch.channels_last)

    def forward(self, faces: Tensor) -> Tensor:
        return self.network(faces.contiguous(memory_format=torch.channels_last))


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one thread: other work on the machine lengthens it far less than wall time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def alternating(rounds: int, works: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Times of every piece of work, taken in turn so that a busy machine slows all of them."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def torchattacks_loop(victim: Victim, clean: Tensor, steps: int) -> Callable[[], object] | None:
    try:
        import torchattacks
    except ImportError:
        return None

    class Logits(nn.Module):
        """torchattacks' PGD knows classes and cross-entropy only: the pixel distance becomes one of two logits."""

        def __init__(self, target: Tensor) -> None:
            super().__init__()
            self.victim, self.target = victim, target

        def forward(self, x: Tensor) -> Tensor:
            loss = (self.victim(x) - self.target).square().flatten(1).mean(1)
            return torch.stack([-loss, torch.zeros_like(loss)], 1)

    with torch.no_grad():
        model = Logits(victim(clean)).eval()
    peer: Any = torchattacks.PGD(model, eps=8 / 255, alpha=2 / 255, steps=steps, random_start=True)
    labels = torch.zeros(len(clean), dtype=torch.long)
    return lambda: peer(clean, labels)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, default in (("--size", 96), ("--width", 64), ("--steps", 10), ("--rounds", 5)):
        parser.add_argument(flag, type=int, default=default)
    options = parser.parse_args()
    steps = options.steps
    torch.set_num_threads(1)
    victim = Victim(options.size, options.width).eval().requires_grad_(False)
    clean = torch.randint(0, 256, (1, 3, options.size, options.size), generator=generator("benchmark")).float() / 255

    def bare(n: int) -> None:
        for _ in range(n):
            x = clean.clone().requires_grad_()
            torch.autograd.grad(victim(x).square().mean(), x)

    def ours(n: int, budgets: list[Budget]) -> Callable[[], object]:
        return lambda: attack(victim, clean, budgets=budgets, steps=n)  # type: ignore[arg-type]

    one, eight = [Budget(8 / 255)], [Budget(k / 255) for k in (1, 2, 3, 4, 6, 8, 12, 16)]
    works: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(steps),
        "short": ours(steps, one),
        "long": ours(2 * steps, one),
        "eight alone": lambda: [ours(steps, [budget])() for budget in eight],
        "eight": ours(steps, eight),
    }
    peer = torchattacks_loop(victim, clean, steps)
    if peer is not None:
        works["peer"] = peer
    times = alternating(options.rounds, works)
    bare_step = statistics.median(times["bare"]) / steps
    step = statistics.median(b - a for a, b in zip(times["short"], times["long"], strict=True)) / steps
    budgets = 8 * statistics.median(b / a for a, b in zip(times["eight alone"], times["eight"], strict=True))

    print(f"{options.size} px, {options.width} channels, {steps} steps, median of {options.rounds} rounds, ", end="")
    print(f"one thread, torch {torch.__version__}\n")
    print("| what | CPU-ms per step | against the bare model |\n|---|---|---|")
    print(f"| forward and input gradient, bare model | {bare_step * 1e3:.2f} | 1.00 |")
    print(f"| one more step of `attack` | {step * 1e3:.2f} | {step / bare_step:.3f} (at most {FACTOR_STEP}) |")
    whole = statistics.median(times["short"]) / steps
    print(f"| `attack` as a whole, per step | {whole * 1e3:.2f} | {whole / bare_step:.3f} |")
    if peer is None:
        print("| torchattacks.PGD | not installed | - |")
    else:
        other = statistics.median(times["peer"]) / steps
        print(f"| torchattacks.PGD, per step | {other * 1e3:.2f} | {other / bare_step:.3f} |")
    print(f"\nEight budgets take {budgets:.2f} times one budget (at most {FACTOR_BUDGETS}).")
    return 0 if step <= FACTOR_STEP * bare_step and budgets <= FACTOR_BUDGETS else 1


if __name__ == "__main__":
    sys.exit(main())
