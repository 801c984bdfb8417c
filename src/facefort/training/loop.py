"""The training loop: resumable after kill -9, averaged weights, several processes under torchrun."""

from __future__ import annotations

import copy
import csv
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from facefort import config, runtime
from facefort.errors import TrainingError
from facefort.files import write_text
from facefort.models.restorer import Restorer
from facefort.training.critics import Critic
from facefort.training.data import Batches, prefetched
from facefort.training.losses import RestorationLoss
from facefort.training.optimisers import optimiser
from facefort.training.recipe import Recipe
from facefort.training.robust import consistency, with_twins
from facefort.training.state import TrainingState


@dataclass
class Progress:
    """What a watcher of a run is told after a step."""

    step: int
    steps: int
    losses: dict[str, float]
    rate: float
    faces_per_second: float
    seconds_left: float


@dataclass
class Watch:
    """Callbacks of a run; every one is optional."""

    on_step: Callable[[Progress], None] | None = None
    on_sample: Callable[[Restorer, int], dict[str, float]] | None = None
    """Given the averaged restorer and the step, draws a sheet and returns validation scores to log."""
    messages: list[str] = field(default_factory=list)


class Trainer:
    """Trains one restorer by a recipe.

    Args:
        restorer: what is trained; its network's weights are changed in place.
        recipe: settings.
        batches: the data.
        out: run folder: ``last.pt`` (checkpoint), ``log.csv``, ``recipe.yaml``.
        world: how many processes share each batch.
        rank: which of them this is.
        teacher: frozen network that the method learns from.
    """

    def __init__(
        self,
        restorer: Restorer,
        recipe: Recipe,
        batches: Batches,
        out: Path,
        rank: int = 0,
        world: int = 1,
        teacher: nn.Module | None = None,
    ) -> None:
        self.recipe, self.batches, self.out, self.rank, self.world = recipe, batches, out, rank, world
        self.restorer = restorer.on(runtime.choose(recipe.device, recipe.precision, recipe.threads))
        self.teacher = None if teacher is None else restorer.runtime.place(teacher.eval().requires_grad_(False))
        device = restorer.runtime.device
        self.loss = RestorationLoss(recipe.losses, device)
        averaged = copy.deepcopy(restorer.network).eval().requires_grad_(False)
        mixed = optimiser(_unfrozen(restorer.network, recipe.frozen), recipe)
        self.critics = [Critic(one, device) for one in recipe.critics if one.weight or one.matching or one.style]
        self.state = TrainingState(restorer.network, averaged, mixed, self.critics)
        self._writer: Any = None
        self.checkpoint = out / "last.pt"
        if self.checkpoint.exists():
            self.state.load(self.checkpoint)

    def run(self, watch: Watch | None = None) -> Restorer:
        """Train to the recipe's last step and return the restorer with the averaged weights.

        Raises:
            TrainingError: the loss is no longer a number; the last good checkpoint is kept.
        """
        watch = watch or Watch()
        recipe, state = self.recipe, self.state
        if self.rank == 0:
            write_text(self.out / "recipe.yaml", config.to_yaml(recipe))
        saved = started = time.monotonic()
        first, before = state.step, state.seconds
        for clean, degraded in prefetched(self.batches, state.step, recipe.steps, workers=recipe.workers):
            losses = self._step(clean, degraded)
            state.step += 1
            state.seconds = before + time.monotonic() - started
            if self.rank == 0:
                speed = recipe.batch * (state.step - first) / max(time.monotonic() - started, 1e-9)
                left = recipe.batch * (recipe.steps - state.step) / max(speed, 1e-9)
                self._log(watch, Progress(state.step, recipe.steps, losses, self._rate(), speed, left))
                due = time.monotonic() - saved > 60 * recipe.save_minutes
                if due or state.step == recipe.steps:
                    state.save(self.checkpoint)
                    saved = time.monotonic()
        return self.averaged()

    def averaged(self) -> Restorer:
        """The restorer with the averaged weights: what ships."""
        source = self.restorer
        restorer = Restorer(self.state.averaged, source.architecture, source.options, source.origin)
        restorer.runtime = source.runtime
        return restorer.eval()

    def _step(self, clean: Tensor, degraded: Tensor) -> dict[str, float]:
        """One step of the network, in as many parts as the recipe says, then one of each critic."""
        state, recipe = self.state, self.recipe
        device = self.restorer.runtime.device
        state.optimiser.set_rate(self._rate())
        state.optimiser.zero_grad()
        shown: dict[str, float] = {}
        drawn = []
        parts = list(
            zip(clean.to(device).chunk(recipe.accumulate), degraded.to(device).chunk(recipe.accumulate), strict=True)
        )
        for wanted, given in parts:
            losses, restored, shown_clean = self._losses(given, wanted)
            total = torch.stack(list(losses.values())).sum()
            if not bool(total.isfinite()):
                raise TrainingError(f"the loss is {total.item()} at step {state.step}; lower the rate and run again")
            share = len(wanted) / len(clean)
            (total * share).backward()  # type: ignore[no-untyped-call]
            drawn.append((restored.detach(), shown_clean))
            for name, value in losses.items():
                shown[name] = shown.get(name, 0.0) + share * value.item()
        if self.world > 1:
            _share_gradients(state.network, self.world)
        nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
        state.optimiser.step()
        state.average(recipe.ema)
        return shown | self._teach_critics(*(torch.cat(column) for column in zip(*drawn, strict=True)))

    def _losses(self, degraded: Tensor, clean: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Weighted losses of a part of a batch, what the network drew, and the clean faces of that."""
        step, robust = self.state.step, self.recipe.robust
        attacked = robust.epsilon > 0 and step >= robust.start and len(degraded) > 1
        if attacked:
            degraded, clean = with_twins(self.restorer, degraded, clean, robust, step)
        done = self.restorer.training_pass(degraded, clean, self.teacher)
        with self.restorer.runtime.autocast():
            losses = self.loss(done, clean, step)
            if attacked:
                losses |= consistency(done, robust)
            rest = torch.stack([value.float() for value in losses.values()]).sum()
            for critic in self.critics:
                if step >= critic.settings.start:
                    losses |= critic.persuade(done.restored, clean, rest)
        return losses, done.restored, clean

    def _teach_critics(self, restored: Tensor, clean: Tensor) -> dict[str, float]:
        shown = {}
        for critic in self.critics:
            if self.state.step < critic.settings.start:
                continue
            critic.optimiser.zero_grad(set_to_none=True)
            with self.restorer.runtime.autocast():
                loss = critic.loss(restored, clean, self.state.step)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.world > 1:
                _share_gradients(critic.network, self.world)
            critic.optimiser.step()
            shown[f"critic.{critic.name}"] = loss.item()
        return shown

    def _rate(self) -> float:
        """Warm-up, plateau, cosine to zero: the end can be moved without repeating what came before."""
        recipe, step = self.recipe, self.state.step
        warm = min(1.0, (step + 1) / max(1, recipe.warmup))
        left = min(1.0, (recipe.steps - step) / max(1, recipe.decay))
        return recipe.rate * warm * 0.5 * (1 - math.cos(math.pi * left))

    def _log(self, watch: Watch, progress: Progress) -> None:
        row: dict[str, float] = {
            "step": progress.step,
            "rate": progress.rate,
            "faces_per_second": round(progress.faces_per_second, 2),
            **{f"loss.{name}": round(value, 6) for name, value in progress.losses.items()},
        }
        if watch.on_sample and (progress.step % self.recipe.sample_steps == 0 or progress.step == progress.steps):
            scores = watch.on_sample(self.averaged(), progress.step)
            _append(self.out / "scores.csv", {"step": progress.step, **scores})
            if self.recipe.tensorboard:
                self._board({"step": progress.step, **{f"score.{name}": value for name, value in scores.items()}})
        if progress.step % 10 == 0 or progress.step == progress.steps:
            _append(self.out / "log.csv", row)
            if self.recipe.tensorboard:
                self._board(row)
        if watch.on_step:
            watch.on_step(progress)

    def _board(self, row: dict[str, float]) -> None:
        if self._writer is None:
            self._writer = _board_writer(self.out)
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name.replace(".", "/"), value, row["step"])


def _board_writer(out: Path) -> Any:  # noqa: ANN401 - the package is optional
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError("logging for TensorBoard needs its package; pip install 'facefort[train]'") from None
    return SummaryWriter(str(out / "tensorboard"))


def join() -> tuple[int, int]:
    """Join the process group that torchrun set up; returns (rank, number of processes), (0, 1) without one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def _unfrozen(network: nn.Module, prefixes: Sequence[str]) -> list[tuple[str, nn.Parameter]]:
    """Freeze the parameters whose names begin with one of the prefixes, and return the others."""
    kept = []
    for name, parameter in network.named_parameters():
        if any(name.startswith(prefix) for prefix in prefixes):
            parameter.requires_grad_(False)
        elif parameter.requires_grad:
            kept.append((name, parameter))
    return kept


def _share_gradients(network: nn.Module, world: int) -> None:
    """Average the gradients over the processes, in one message."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= world
    parts = torch.split(flat, [g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _append(path: Path, row: dict[str, float]) -> None:
    """One row more; a resumed run that repeats steps writes them again, the later row counts."""
    columns = list(row)
    if path.exists():
        with path.open(newline="") as lines, suppress(StopIteration):
            columns = next(csv.reader(lines))
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
