from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import facefort
from facefort import config
from facefort.errors import ConfigError, TrainingError
from facefort.models import build, load
from facefort.training import run
from facefort.training.critics import Critic
from facefort.training.data import Batches, FaceBank, LabelledBatches, prefetched, training_files
from facefort.training.export import export_weights
from facefort.training.loop import Trainer, Watch
from facefort.training.recipe import CriticSettings, DataSettings, LossSettings, Recipe
from facefort.training.robust import with_twins
from facefort.training.run import _beginning
from facefort.training.validation import ParsingValidation

TINY = {"out_size": 32, "num_style_feat": 8, "num_mlp": 0, "narrow": 0.03125, "channel_multiplier": 1}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for i in range(12):
        smooth = cv2.resize(rng.random((6, 6, 3), np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i:02d}.png"), np.clip(smooth * 255, 0, 255).astype(np.uint8))
    return folder


def recipe(faces: Path, **changes: object) -> Recipe:
    values = {
        "options": TINY,
        "data": {"faces": str(faces)},
        "losses": [{"lpips": 0, "pyramid": 0.1}, {"start": 4, "lpips": 0}],
        "steps": 8,
        "batch": 4,
        "warmup": 2,
        "decay": 2,
        "rate": 0.002,
        "precision": "fp32",
        "threads": 1,
        **changes,
    }
    return config.validate(Recipe, values)


def trainer(settings: Recipe, out: Path) -> Trainer:
    torch.manual_seed(settings.seed)
    restorer = build(settings.model, settings.preset, **settings.options).train()
    bank = FaceBank(sorted(Path(settings.data.faces).iterdir()), restorer.size)
    return Trainer(restorer, settings, Batches(bank, settings.data, settings.seed, settings.batch), out)


def weights(model: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.averaged().network.state_dict().items()}


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(faces: Path, tmp_path: Path) -> None:
    straight = trainer(recipe(faces), tmp_path / "a")
    straight.run()

    class StopHereError(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "step", 0) == 5:
            raise StopHereError

    first = trainer(recipe(faces, save_minutes=0), tmp_path / "b")
    with pytest.raises(StopHereError):
        first.run(Watch(on_step=stop))
    second = trainer(recipe(faces, save_minutes=0), tmp_path / "b")
    assert 0 < second.state.step <= 5
    second.run()
    assert_equal(weights(straight), weights(second))


CRITICS = [
    {"width": 4, "layers": 2, "matching": 0.1, "r1": 1.0, "r1_every": 2, "adaptive": True},
    {"where": "mouth", "kind": "multiscale", "loss": "softplus", "width": 4, "layers": 1, "style": 1.0, "start": 3},
]


def test_critics_are_resumed_to_the_bit_too(faces: Path, tmp_path: Path) -> None:
    settings = recipe(faces, critics=CRITICS, steps=6, save_minutes=0)
    straight = trainer(settings, tmp_path / "a")
    seen: list[dict[str, float]] = []
    straight.run(Watch(on_step=lambda now: seen.append(now.losses)))
    assert {"gan.face", "matching.face", "critic.face"} <= seen[0].keys()
    assert "gan.mouth" not in seen[2]
    assert {"gan.mouth", "style.mouth", "critic.mouth"} <= seen[3].keys()

    class StopHereError(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "step", 0) == 5:
            raise StopHereError

    with pytest.raises(StopHereError):
        trainer(settings, tmp_path / "b").run(Watch(on_step=stop))
    second = trainer(settings, tmp_path / "b")
    assert second.state.step >= 4
    second.run()
    assert_equal(weights(straight), weights(second))


def test_a_batch_in_parts_is_the_same_batch(faces: Path, tmp_path: Path) -> None:
    whole = trainer(recipe(faces, steps=3, clip=1e9), tmp_path / "a")
    parts = trainer(recipe(faces, steps=3, clip=1e9, accumulate=2), tmp_path / "b")
    whole.run(), parts.run()
    for (name, a), b in zip(weights(whole).items(), weights(parts).values(), strict=True):
        assert torch.allclose(a, b, atol=2e-4), name


def test_frozen_parts_stay_as_they_were(faces: Path, tmp_path: Path) -> None:
    model = trainer(recipe(faces, steps=3, frozen=["stylegan_decoder."]), tmp_path)
    before = {name: value.clone() for name, value in model.state.network.named_parameters()}
    model.run()
    for name, value in model.state.network.named_parameters():
        if name.startswith("stylegan_decoder."):
            assert torch.equal(value, before[name])
    assert not torch.equal(model.state.network.conv_body_first.weight, before["conv_body_first.weight"])


def test_a_loss_that_the_method_lacks_is_named(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no loss 'codebook'"):
        trainer(recipe(faces, losses=[{"lpips": 0, "own": {"codebook": 1}}]), tmp_path).run()


def test_a_critic_learns_to_tell_drawn_from_clean() -> None:
    torch.manual_seed(0)
    critic = Critic(config.validate(CriticSettings, {"width": 8, "layers": 2, "rate": 2e-3}), "cpu")
    clean = torch.rand(8, 3, 32, 32)
    drawn = torch.nn.functional.avg_pool2d(clean, 3, 1, 1)
    first = critic.loss(drawn, clean, 0).item()
    for step in range(60):
        critic.optimiser.zero_grad()
        loss = critic.loss(drawn, clean, step)
        loss.backward()
        critic.optimiser.step()
    assert loss.item() < 0.5 * first


def test_training_makes_it_better(faces: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    settings = recipe(faces, steps=80, rate=0.01, ema=0.5)
    trainer(settings, tmp_path).run(Watch(on_step=lambda now: seen.append(now.losses["l1"])))
    assert np.mean(seen[-10:]) < 0.5 * np.mean(seen[:5])


def test_a_batch_depends_on_seed_and_step_alone(faces: Path) -> None:
    settings = recipe(faces)
    bank = FaceBank(sorted(faces.iterdir()), 32)
    whole = Batches(bank, settings.data, 0, 4)
    ahead = list(prefetched(whole, 3, 6))
    assert len(ahead) == 3
    assert all(torch.equal(a, b) for a, b in zip(ahead[1], whole[4], strict=True))
    halves = [Batches(bank, settings.data, 0, 4, rank, 2)[4] for rank in (0, 1)]
    assert torch.equal(torch.cat([h[0] for h in halves]), whole[4][0][[0, 2, 1, 3]])
    assert not torch.equal(Batches(bank, settings.data, 1, 4)[4][0], whole[4][0])


def test_batch_norms_are_measured_with_the_averaged_weights(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_CALIBRATION", 4)
    settings = Recipe(
        model="hifacegan",
        options={"ngf": 4, "widest": 4, "out_size": 64},
        data=DataSettings(str(faces)),
        losses=(LossSettings(l1=1.0, lpips=0.0),),
        steps=2,
        decay=1,
        batch=4,
        samples=str(faces),
        precision="fp32",
    )
    done = run.train(settings, tmp_path)
    bank = FaceBank(training_files(str(faces)), 64)
    means = []
    norm = done.network.head_0.norm_0.param_free_norm
    norm.register_forward_pre_hook(lambda _, inputs: means.append(inputs[0].mean((0, 2, 3))))
    with torch.no_grad():
        done.network(Batches(bank, settings.data, 0, 4)[2][1] * 2 - 1)
    assert norm.num_batches_tracked == 1
    assert torch.allclose(norm.running_mean, means[0], atol=1e-5)


def test_processes_draw_the_same_batches_as_threads(faces: Path, tmp_path: Path) -> None:
    settings = DataSettings(str(faces), warp=0.01)
    bank = FaceBank(sorted(faces.iterdir()), 32)
    drawn = list(prefetched(Batches(bank, settings, 0, 4), 0, 3))
    bank.keep(tmp_path / "faces.npy")
    again = list(prefetched(Batches(bank, settings, 0, 4), 0, 3, workers=1))
    assert len(drawn) == len(again) == 3
    for one, other in zip(drawn, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_loss_that_is_no_number_stops_the_run(faces: Path, tmp_path: Path) -> None:
    model = trainer(recipe(faces), tmp_path)
    with torch.no_grad():
        next(model.state.network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan at step 0; lower the rate"):
        model.run()


def test_unreadable_pictures_are_named_and_limited(faces: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    files = [*sorted(faces.iterdir()), broken]
    bank = FaceBank(files, 32, bad_limit=0.1)
    assert len(bank) == 12
    assert bank.failed[0].startswith("broken.png: ")
    with pytest.raises(TrainingError, match=r"1 of 13 training pictures cannot be read \(broken\.png"):
        FaceBank(files, 32, bad_limit=0.01)
    with pytest.raises(TrainingError, match="no readable faces"):
        FaceBank([broken], 32, bad_limit=1)


def test_a_run_can_begin_with_given_weights(faces: Path, tmp_path: Path) -> None:
    given = build("gfpgan", "zoo", **TINY).network.state_dict()
    torch.save(given, tmp_path / "given.pth")
    begun = _beginning(recipe(faces, weights=str(tmp_path / "given.pth"))).network.state_dict()
    assert all(torch.equal(begun[key], given[key]) for key in given)
    with pytest.raises(TrainingError, match="is not a gfpgan of this recipe's size"):
        _beginning(recipe(faces, weights=str(tmp_path / "given.pth"), options={**TINY, "out_size": 64}))


def test_a_damaged_checkpoint_is_one_line(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(TrainingError, match=r"cannot resume from last\.pt"):
        trainer(recipe(faces), tmp_path)


def test_weights_that_ship_have_a_card(faces: Path, tmp_path: Path) -> None:
    model = trainer(recipe(faces), tmp_path)
    restorer = model.run()
    card = export_weights(restorer, tmp_path, tmp_path / "tiny-32.safetensors")
    assert card["training"]["faces_seen"] == 32
    assert card["size"] == 32
    assert str(tmp_path) not in (tmp_path / "tiny-32.yaml").read_text()
    loaded = load(tmp_path / "tiny-32.safetensors")
    assert loaded.origin.sha256 == card["sha256"]
    face = torch.rand(1, 3, 32, 32)
    assert torch.allclose(loaded(face), restorer(face), atol=0.02)


SCRIPT = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
import facefort
from facefort import config
from facefort.training.loop import Trainer, Watch, join
from facefort.training.data import Batches, FaceBank
from facefort.training.recipe import Recipe
from facefort.training.run import _beginning
from facefort.training.validation import ParsingValidation
from facefort.models import build
settings = config.load(Recipe, Path(sys.argv[1]))
rank, world = join()
torch.manual_seed(settings.seed)
restorer = build(settings.model, settings.preset, **settings.options).train()
bank = FaceBank(sorted(Path(settings.data.faces).iterdir()), restorer.size)
batches = Batches(bank, settings.data, settings.seed, settings.batch, rank, world)
def tell(now):
    if rank == 0: print(now.step, flush=True)
Trainer(restorer, settings, batches, Path(sys.argv[2]), rank, world).run(Watch(on_step=tell))
"""


def script(tmp_path: Path, settings: Recipe) -> list[str]:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "recipe.yaml").write_text(config.to_yaml(settings))
    return [str(tmp_path / "train.py"), str(tmp_path / "recipe.yaml")]


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_global_batch(faces: Path, tmp_path: Path) -> None:
    arguments = script(tmp_path, recipe(faces, clip=1e9))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([sys.executable, *arguments, str(tmp_path / "one")], check=True, env=environment)
    subprocess.run([*launch, *arguments, str(tmp_path / "two")], check=True, env=environment, capture_output=True)
    one, two = (torch.load(tmp_path / name / "last.pt", weights_only=True)["network"] for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)


@pytest.mark.slow
def test_kill_9_loses_at_most_what_came_after_the_last_checkpoint(faces: Path, tmp_path: Path) -> None:
    settings = recipe(faces, steps=30, save_minutes=0)
    arguments = script(tmp_path, settings)
    child = subprocess.Popen([sys.executable, *arguments, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    while int(child.stdout.readline()) < 7:
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    resumed = trainer(settings, tmp_path / "run")
    assert resumed.state.step >= 6
    resumed.run()
    straight = trainer(settings, tmp_path / "straight")
    straight.run()
    assert_equal(weights(resumed), weights(straight))


def test_adversarial_training_attacks_half_of_a_batch_within_the_budget(faces: Path, tmp_path: Path) -> None:
    settings = recipe(faces, robust={"epsilon": 4 / 255, "steps": 2}, steps=1)
    model = trainer(settings, tmp_path)
    clean, degraded = model.batches[0]
    given, wanted = with_twins(model.restorer, degraded, clean, settings.robust, 0)
    assert torch.equal(given[:2], degraded[:2])
    assert torch.equal(wanted[:2], wanted[2:])
    change = given[2:] - given[:2]
    assert 3.9 / 255 < change.abs().max() <= 4 / 255 + 1e-6
    with torch.no_grad():
        before, after = ((model.restorer(part) - clean[:2]).square().mean() for part in (given[:2], given[2:]))
    assert after > before
    model.run()


def test_labels_follow_their_faces(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facefort.training.data.part_labels", lambda crop: (crop[..., 1] > 0.5).astype(np.uint8))
    settings = config.validate(DataSettings, {"faces": str(faces), "colour": 0, "jitter": 0.1, "warp": 0.01})
    bank = FaceBank(sorted(faces.iterdir()), 32)
    labelled = LabelledBatches(Batches(bank, settings, 0, 4), tmp_path / "labels.npy", [0, 1])
    labels, _ = labelled[3]
    clean, _ = Batches(bank, settings, 0, 4)[3]
    assert labels.shape == (4, 1, 32, 32)
    agrees = (labels[:, 0] == (clean[:, 1] > 0.5).float()).float().mean()
    assert agrees > 0.93
    assert (tmp_path / "labels.npy").exists()


@pytest.mark.weights("facemesh")
def test_a_parser_is_judged_by_what_it_finds_in_degraded_faces(tmp_path: Path) -> None:
    options = {"out_size": 32, "min_feat_size": 8, "base_ch": 8, "parsing_ch": 11, "res_depth": 1, "ch_range": (8, 16)}
    samples = Path(facefort.__file__).parent / "samples" / "faces"
    settings = config.validate(Recipe, {"model": "parsenet", "samples": str(samples), "data": {"presets": ["gfpgan"]}})
    judge = ParsingValidation(settings, 32, tmp_path)
    restorer = build("parsenet", "zoo", **options)
    scores = judge(restorer, 7)
    assert set(scores) == {"iou", *(f"iou-{name}" for name in restorer.network.classes.names)}
    assert (tmp_path / "000007.png").exists()
    restorer.network.logits = lambda x: torch.nn.functional.one_hot(judge.truth.long()[:8], 11).permute(0, 3, 1, 2)
    judge.truth, judge.degraded = judge.truth[:8], judge.degraded[:8]
    assert judge(restorer, 8)["iou-skin"] == 1
