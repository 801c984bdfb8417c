"""Face-quality judges: their order on degraded faces, strict loading, parity with what carries them."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from facefort import assets
from facefort.errors import (
    FaceError,
    PictureError,
    UnknownNameError,
    UnsafeCheckpointError,
    UsageError,
    WeightsError,
)
from facefort.metrics import metric
from facefort.metrics.quality import official_sdd
from facefort.models.judges import mobilenet_quality, sdd_official, sdd_quality
from facefort.models.judges.quality import QUALITY_JUDGES, QualityJudge, quality_judge
from facefort.models.weights import save_weights

NAMES = [pytest.param("mobilenet", marks=pytest.mark.weights("qualityface")), "sdd"]
LADDERS = {
    "blur": (0, 1, 2, 4, 6),
    "noise": (0, 15, 30, 60, 90),
    "low resolution": (1, 2, 4, 8, 12),
    "jpeg": (100, 50, 25, 10, 4),
}


@pytest.fixture(params=NAMES)
def judge(request: pytest.FixtureRequest) -> QualityJudge:
    return quality_judge(request.param)


@pytest.fixture(scope="module")
def official_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the official layout: wrapped by DataParallel, random numbers."""
    torch.manual_seed(0)
    state = {f"module.{key}": value for key, value in sdd_official.OfficialSDD().state_dict().items()}
    place = tmp_path_factory.mktemp("official") / "SDD_FIQA_checkpoints_r50.pth"
    torch.save(state, place)
    return place


def degraded(face: np.ndarray, kind: str, level: float) -> np.ndarray:
    if kind == "blur":
        return cv2.GaussianBlur(face, (0, 0), level) if level else face
    if kind == "noise":
        return face + np.random.default_rng(0).standard_normal(face.shape) * level
    if kind == "low resolution":
        small = cv2.resize(face, None, fx=1 / level, fy=1 / level, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, face.shape[:2], interpolation=cv2.INTER_LINEAR)
    done, data = cv2.imencode(".jpg", face.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(level)])
    assert done
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def ladder(files: list[Path], kind: str) -> Tensor:
    """(levels, faces, 3, 128, 128)."""
    faces = [cv2.resize(cv2.imread(str(file)), (128, 128), interpolation=cv2.INTER_AREA) for file in files]
    steps = [[degraded(face, kind, level)[:, :, ::-1] for face in faces] for level in LADDERS[kind]]
    return torch.from_numpy(np.clip(np.rint(steps), 0, 255)).permute(0, 1, 4, 2, 3).float() / 255


@pytest.mark.shared
@pytest.mark.parametrize("kind", list(LADDERS))
@pytest.mark.parametrize("faces", ["london512/*_neutral.jpg", "synthetic256-test/*.webp"])
def test_stronger_degradation_of_a_new_face_rates_lower(
    judge: QualityJudge, shared: Path, kind: str, faces: str
) -> None:
    steps = ladder(sorted(shared.glob(faces))[:8], kind)
    with torch.inference_mode():
        scores = torch.stack([judge(step) for step in steps]).numpy()
    order = [-spearmanr(range(len(scores)), scores[:, face]).statistic for face in range(scores.shape[1])]
    assert np.mean(order) > 0.85
    assert (scores[0] > scores[-1]).all()


def test_one_number_per_face_at_any_size_and_its_gradient(judge: QualityJudge) -> None:
    numbers = torch.Generator().manual_seed(0)
    for size in (64, 96, 300):
        faces = torch.rand(2, 3, size, size, generator=numbers).requires_grad_()
        scores = judge(faces)
        assert scores.shape == (2,)
        (gradient,) = torch.autograd.grad(scores.sum(), faces)
        assert bool(gradient.isfinite().all())
        assert gradient.abs().max() > 0


def test_a_judge_is_shared_frozen_and_named(judge: QualityJudge) -> None:
    assert quality_judge(judge.name) is judge
    assert not judge.training
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    assert QUALITY_JUDGES.entry(judge.name).facts["licence"] == judge.licence


def test_what_is_no_face_is_refused(judge: QualityJudge) -> None:
    with pytest.raises(FaceError, match="64"):
        judge(torch.rand(1, 3, 63, 63))
    with pytest.raises(PictureError):
        judge(torch.rand(1, 3, 64, 65))
    with pytest.raises(PictureError, match="align"):
        metric(f"quality-{judge.name}")(torch.rand(1, 3, 64, 65))


def test_an_unknown_judge_and_one_without_weights_are_wrong_calls() -> None:
    with pytest.raises(UnknownNameError, match="sdd"):
        quality_judge("ssd")
    with pytest.raises(UsageError, match="path of its checkpoint"):
        quality_judge("sdd-official")


# The published judge


def test_the_official_layout_has_the_published_entries() -> None:
    state = sdd_official.OfficialSDD().state_dict()
    assert tuple(state["input_layer.0.weight"].shape) == (64, 3, 3, 3)
    assert tuple(state["body.3.shortcut_layer.0.weight"].shape) == (128, 64, 1, 1)
    assert tuple(state["body.23.res_layer.4.running_var"].shape) == (512,)
    assert "body.24.res_layer.0.weight" not in state
    assert "body.0.shortcut_layer.0.weight" not in state
    assert tuple(state["quality.1.weight"].shape) == (512 * 49,)
    assert tuple(state["quality.3.weight"].shape) == (1, 512 * 49)


def test_an_official_checkpoint_is_loaded_whole_and_rates(official_file: Path) -> None:
    judge = quality_judge("sdd-official", official_file)
    stored = torch.load(official_file, weights_only=True)
    assert all(torch.equal(value, stored[f"module.{key}"]) for key, value in judge.state_dict().items())
    face = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    score = official_sdd(official_file)(face, faces_known=True)
    chip = torch.nn.functional.interpolate(face, (112, 112), mode="bilinear", antialias=True)
    with torch.no_grad():
        flat = judge.body(judge.input_layer((chip - 0.5) / 0.5)).flatten(1)
        wanted = judge.quality[3](judge.quality[1](flat))
    torch.testing.assert_close(score, wanted[0])


def test_resizing_is_pillows(rng: np.random.Generator) -> None:
    from PIL import Image

    pixels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(pixels).resize((112, 112), Image.Resampling.BILINEAR))
    face = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    ours = torch.nn.functional.interpolate(face, (112, 112), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    assert np.abs(ours.numpy() - pillow).max() < 1.01


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("module.quality.3.weight"), r"lacks quality\.3\.weight"),
        (lambda s: s.pop("module.body.5.res_layer.2.weight"), "lacks"),
        (lambda s: s.update({"module.extra.weight": torch.zeros(1)}), r"unknown extra\.weight"),
        (lambda s: s.update({"module.quality.3.bias": torch.zeros(2)}), r"another size of quality\.3\.bias"),
    ],
)
def test_an_entry_that_is_missing_unknown_or_of_another_size_is_an_error(
    official_file: Path, tmp_path: Path, change, said: str
) -> None:
    state = torch.load(official_file, weights_only=True)
    change(state)
    torch.save(state, tmp_path / "changed.pth")
    with pytest.raises(WeightsError, match=said):
        quality_judge("sdd-official", tmp_path / "changed.pth")


def test_counters_of_old_torch_may_be_missing(official_file: Path, tmp_path: Path) -> None:
    state = torch.load(official_file, weights_only=True)
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / "old.pth")
    assert sdd_official.load(tmp_path / "old.pth").name == "sdd-official"


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {mark}",)

    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    for load in (sdd_official.load, mobilenet_quality.load, sdd_quality.load):
        with pytest.raises(UnsafeCheckpointError):
            load(tmp_path / "evil.pth")
    assert not mark.exists()


# The others


@pytest.mark.weights("qualityface")
def test_the_carried_file_fills_the_network_and_no_other_does(tmp_path: Path) -> None:
    stored = torch.load(assets.path("qualityface"), map_location="cpu", weights_only=True)
    network = mobilenet_quality.load()
    assert torch.equal(network.classify.weight, stored["module.classify.weight"])
    last = "features.18.1.running_var"
    assert torch.equal(network.state_dict()[last], stored[f"module.backbone.net.{last}"])
    del stored["module.classify.bias"]
    torch.save(stored, tmp_path / "last.pth")
    with pytest.raises(WeightsError, match="another network"):
        mobilenet_quality.load(tmp_path / "last.pth")


def test_weights_that_ship_are_what_their_card_says() -> None:
    import yaml

    from facefort.files import sha256_file

    card = yaml.safe_load(sdd_quality.WEIGHTS.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert card["sha256"] == sha256_file(sdd_quality.WEIGHTS)
    assert sdd_quality.WEIGHTS.stat().st_size <= 4 * 2**20
    assert card["training"]["steps"] > 0
    assert card["scores"]


def test_the_scale_is_0_to_100_and_bfloat16_weights_are_enough(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = sdd_quality.SDDQuality().eval()
    save_weights(tmp_path / "w.safetensors", network.state_dict(), {})
    again = sdd_quality.load(tmp_path / "w.safetensors").eval()
    faces = torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        assert (network(faces, "arcface") - again(faces, "arcface")).abs().max() < 0.5
        assert 0 <= again(faces, "arcface").min() <= again(faces, "arcface").max() <= 100
