"""An audit from faces to rows: what is measured, what survives an interruption, what a bad face does."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.audit.conftest import JUDGES, Sharpen, draw, restorer, small_audit
from torch import Tensor, nn

from facefort.audit import AuditSettings
from facefort.audit.plan import plan
from facefort.audit.run import run
from facefort.errors import UnknownNameError, UsageError
from facefort.metrics import metric
from facefort.pictures.degrade import degrade
from facefort.pictures.tensors import from_bytes, round_to_8_bits
from facefort.runs import Row, RunFolder

CELLS = [
    "quality",
    "pix_self full eps=2/255",
    "pix_self full eps=8/255",
    "random full eps=2/255",
    "random full eps=8/255",
]

Whole = tuple[RunFolder, AuditSettings, list[tuple[int, int]]]

pytestmark = pytest.mark.weights(*JUDGES)


def table(folder: RunFolder) -> dict[tuple[str, str], Row]:
    return {(row.cell, row.unit): row for row in folder.rows()}


def content(folder: RunFolder) -> dict[tuple[str, str], tuple[str, dict]]:
    return {key: (row.status, dict(row.values)) for key, row in table(folder).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A finished audit, its settings, and what its progress said."""
    place = tmp_path_factory.mktemp("whole")
    settings = small_audit(place / "faces")
    seen: list[tuple[int, int]] = []
    done = run(settings, place / "out", lambda through, total: seen.append((through, total)), restorer=restorer())
    return done, settings, seen


def close(a: dict, b: dict) -> bool:
    """Equal facts, and numbers equal up to float error."""
    texts = [{key: value for key, value in one.items() if isinstance(value, str)} for one in (a, b)]
    numbers = [{key: value for key, value in one.items() if not isinstance(value, str)} for one in (a, b)]
    return texts[0] == texts[1] and numbers[0] == pytest.approx(numbers[1], rel=1e-3, abs=1e-6)


def gallery(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder.path / "pictures").iterdir()}


def test_every_face_has_a_row_in_every_cell(whole: Whole) -> None:
    done, settings, seen = whole
    assert [cell.name for cell in plan(settings)] == CELLS
    assert set(table(done)) == {(cell, str(i)) for cell in CELLS for i in range(5)}
    assert done.info["status"] == "done"
    assert done.info["counts"] == {"done": 25, "failed": 0, "left": 0}
    assert done.info["provenance"]["weights"] == {"toy": "ab" * 32}
    assert len(done.info["provenance"]["inputs"]["faces"]) == 64
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_the_numbers_are_those_of_the_pictures(whole: Whole) -> None:
    rows = table(whole[0])
    face = from_bytes(draw(3)[None])
    given = degrade(face, "gfpgan", seed=0, names=["3"]).pictures
    restored = round_to_8_bits(restorer().restore(given))
    values = rows["quality", "3"].values
    for name in ("psnr-rgb", "ssim-rgb", "lpips-alex", "lpips-vgg", "identity-dlib"):
        assert values[name] == pytest.approx(float(metric(name)(restored, face)), abs=1e-3)
        assert values[f"input.{name}"] == pytest.approx(float(metric(name)(given, face)), abs=1e-3)

    small, large, noise = (rows[cell, "3"].values for cell in (CELLS[1], CELLS[2], CELLS[4]))
    assert (large["objective"], large["region"], large["eps_text"]) == ("pix_self", "full", "8/255")
    assert large["eps"] == pytest.approx(8 / 255)
    assert large["linf"] == pytest.approx(8 / 255, abs=1e-6)
    assert large["psnr-cc"] < small["psnr-cc"]
    assert large["psnr-cc"] < noise["psnr-cc"] - 0.2  # noise comes near the worst case of a sharpening
    assert large["loss_last"] > large["loss_first"] > 0
    assert large["psnr-cc"] == pytest.approx(-10 * math.log10(large["loss_last"]), abs=0.7)  # rounding and clamping
    assert noise["psnr-in"] == pytest.approx(-20 * math.log10(8 / 255), abs=0.01)
    assert "loss_first" not in noise
    assert set(small) >= {"lpips-alex-cc", "identity-cc", "psnr-in"}


def test_the_least_stable_faces_keep_their_pictures(whole: Whole) -> None:
    done = whole[0]
    lowest = {
        str(i): min(row.values["psnr-cc"] for row in done.rows("pix_self*") if row.unit == str(i)) for i in range(5)
    }
    expected = sorted(lowest, key=lambda unit: (lowest[unit], unit))[:2]
    roles = ["clean", "degraded", "restored"]
    roles += [f"{kind}-{i}" for kind in ("adversarial", "difference", "attacked") for i in range(4)]
    assert set(gallery(done)) == {f"{unit}.{role}.png" for unit in expected for role in roles}

    unit = expected[0]
    shown = {role: np.asarray(Image.open(done.picture(unit, role))).astype(int) for role in roles}
    assert np.array_equal(shown["clean"], draw(int(unit)))
    change = shown["adversarial-1"] - shown["degraded"]
    assert abs(change).max() == 8
    assert np.allclose(shown["difference-1"], (127.5 + 10 * change).clip(0, 255), atol=1)
    error = np.square((shown["attacked-1"] - shown["restored"]) / 255).mean()
    assert -10 * math.log10(error) == pytest.approx(table(done)[CELLS[2], unit].values["psnr-cc"], abs=1e-3)


@pytest.mark.parametrize("after", [1, 12])
def test_an_interrupted_audit_ends_like_a_whole_one(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    complete, settings, _ = whole
    add, calls = RunFolder.add, []

    def stop(self: RunFolder, *arguments: object, **more: object) -> None:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(arguments[:2])
        add(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(RunFolder, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "out", restorer=restorer())
    monkeypatch.undo()
    stopped = RunFolder.read(tmp_path / "out")
    assert stopped.info["status"] == "interrupted"
    assert stopped.info["counts"]["left"] == 25 - after

    resumed = run(settings, tmp_path / "out", restorer=restorer())
    assert resumed.previous == "interrupted"
    assert resumed.info["status"] == "done"
    a, b = content(complete), content(resumed)
    assert a.keys() == b.keys()
    assert all(close(a[key][1], b[key][1]) for key in a)
    assert set(gallery(resumed)) == set(gallery(complete))


def test_going_on_with_a_finished_audit_does_no_work(whole: Whole) -> None:
    class Counting(Sharpen):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counting.calls += 1
            return super().forward(x)

    done, settings, _ = whole
    first = gallery(done)
    again = run(settings, done.path, restorer=restorer(Counting(64)))
    assert Counting.calls == 0
    assert gallery(again) == first
    with pytest.raises(UsageError, match="steps = 8, now steps = 4"):
        run(dataclasses.replace(settings, steps=4), done.path, restorer=restorer())


def test_budget_zero_shows_that_the_pipeline_is_exact(settings: AuditSettings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, eps=("0",), limit=2, batch=2)
    for row in run(settings, tmp_path / "out", restorer=restorer()).rows("pix_self*"):
        assert row.values["psnr-cc"] == math.inf
        assert row.values["psnr-in"] == math.inf
        assert row.values["lpips-alex-cc"] == pytest.approx(0, abs=1e-6)
        assert row.values["linf"] == 0


def test_faces_of_low_quality_are_scored_without_reference(settings: AuditSettings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, preset="none", eps=())
    done = run(settings, tmp_path / "out", restorer=restorer())
    rows = list(done.rows())
    assert {row.cell for row in rows} == {"quality"}
    # NIQE is not defined on faces this small.
    assert all(set(row.values) == {"identity-io"} for row in rows)
    farthest = sorted(rows, key=lambda row: (-row.values["identity-io"], row.unit))[:2]
    assert set(gallery(done)) == {f"{row.unit}.{role}.png" for row in farthest for role in ("degraded", "restored")}


@pytest.mark.weights("niqe-pristine")
def test_larger_faces_of_low_quality_have_a_niqe(tmp_path: Path) -> None:
    Image.fromarray(draw(0, 192)).save(tmp_path / "face.png")
    settings = AuditSettings(model="toy", faces=str(tmp_path / "face.png"), preset="none", eps=(), device="cpu")
    (row,) = run(settings, tmp_path / "out", restorer=restorer(size=192)).rows()
    assert set(row.values) == {"niqe", "input.niqe", "identity-io"}


class Fragile(Sharpen):
    """Returns NaN for faces whose corner is black."""

    def forward(self, x: Tensor) -> Tensor:
        black = (x[:, :, :3, :3].amax((1, 2, 3), keepdim=True) < 0.15).float()
        return super().forward(x) / (1 - black)


def test_a_face_that_fails_is_a_failed_row_and_harms_no_other(settings: AuditSettings, tmp_path: Path) -> None:
    picture = draw(1)
    picture[:32, :32] = 0
    Image.fromarray(picture).save(tmp_path / "faces/1.png")
    (tmp_path / "faces/4.png").write_bytes(b"no picture")
    done = run(settings, tmp_path / "out", restorer=restorer(Fragile(64)))
    failed = {(row.cell, row.unit): row.reason for row in done.rows() if row.status == "failed"}
    assert set(failed) == {(cell, unit) for cell in CELLS for unit in ("1", "4")}
    assert "returned NaN" in failed["quality", "1"]
    assert "4.png" in failed["quality", "4"]
    assert done.info["status"] == "failed"
    assert done.info["counts"] == {"done": 15, "failed": 10, "left": 0}
    alone = dataclasses.replace(settings, batch=1, limit=1)
    single = run(alone, tmp_path / "single", restorer=restorer(Fragile(64)))
    assert all(close(values, content(done)[key][1]) for key, (_, values) in content(single).items())


class Rounding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 255).round() / 255


def test_a_model_without_gradient_fails_its_attacks_and_nothing_else(settings: AuditSettings, tmp_path: Path) -> None:
    rows = table(run(settings, tmp_path / "out", restorer=restorer(Rounding())))
    assert {key[0] for key, row in rows.items() if row.status == "failed"} == set(CELLS[1:3])
    assert all("gradient masking" in row.reason for row in rows.values() if row.status == "failed")
    assert rows["random full eps=8/255", "0"].values["psnr-cc"] == pytest.approx(-20 * math.log10(8 / 255), abs=0.01)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"preset": "gfpgn"}, UnknownNameError, "did you mean gfpgan"),
        ({"objectives": ("pixself",)}, UnknownNameError, "did you mean pix_self"),
        ({"objectives": ("l1", "l1")}, UsageError, "objectives names something twice"),
        ({"eps": ("2/255", "4/510")}, UsageError, "eps names something twice"),
        ({"eps": ("8",)}, UsageError, "did you mean 8/255"),
        ({"objectives": ("pix_gt",), "preset": "none"}, UsageError, "pix_gt needs undamaged faces"),
    ],
)
def test_settings_that_cannot_be(settings: AuditSettings, change: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        plan(dataclasses.replace(settings, **change))


def test_several_objectives_share_a_run(settings: AuditSettings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, objectives=("l1", "pix_gt"), eps=("4/255",), limit=1)
    done = run(settings, tmp_path / "out", restorer=restorer())
    assert [row.cell for row in done.rows()] == [cell.name for cell in plan(settings)]
    torch.testing.assert_close(restorer().state_dict(), restorer().state_dict())
