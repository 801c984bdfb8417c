"""Measuring: the numbers are the metrics' own, and whatever cannot be measured is a row that says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

import facefort
from facefort.errors import FaceError, UnknownNameError, UsageError, WeightsError
from facefort.measuring import store
from facefort.measuring.run import run
from facefort.measuring.settings import MeasureSettings
from facefort.metrics import metric
from facefort.metrics.statistics import mean_ci
from facefort.pictures.photo import Photo
from facefort.pictures.tensors import round_to_8_bits, to_batch, to_pictures


def resize(pictures, size):
    return round_to_8_bits(torch.nn.functional.interpolate(pictures, size, mode="bicubic", antialias=True))


def by_name(found):
    return {row.name: row for row in found.rows}


def test_numbers_are_those_of_the_metrics(folders):
    test, reference = folders
    found = facefort.measure(test, reference, metrics=["psnr-rgb", "ssim-rgb"])
    assert found.complete
    assert [row.name for row in found.rows] == ["a0", "a1", "a2", "a3", "a4"]
    for row in found.rows:
        pair = [Photo.read(folder / f"{row.name}.png").pixels for folder in folders]
        assert row.values["psnr-rgb"] == pytest.approx(
            peak_signal_noise_ratio(pair[1], pair[0], data_range=1), abs=1e-4
        )
        alone = metric("ssim-rgb")(to_batch(pair[:1]), to_batch(pair[1:]))
        assert row.values["ssim-rgb"] == pytest.approx(alone.item(), abs=1e-6)
    values = [row.values["psnr-rgb"] for row in found.rows]
    summary = found["psnr-rgb"]
    assert (summary.mean, summary.low, summary.high) == mean_ci(values, seed=0)[:3]
    assert (summary.n, summary.infinite, summary.excluded, summary.failed) == (5, 0, 0, 0)
    assert found.exit_code() == 0


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_the_batch_changes_nothing(folders, batch):
    test, reference = folders
    found = facefort.measure(test, reference, metrics=["psnr-rgb"], batch=batch)
    whole = facefort.measure(test, reference, metrics=["psnr-rgb"], batch=3)
    assert [row.values for row in found.rows] == [row.values for row in whole.rows]


def test_every_kind_of_trouble_is_a_row_and_never_a_number(folders, write, picture):
    test, reference = folders
    for i in range(5, 12):
        write(reference / f"a{i}.png", picture(i))
    write(test / "a5.png", picture(5, 40, 40))  # another size
    write(test / "a6.png", np.zeros((48, 48, 3)))  # black
    write(test / "a7.png", np.full((1, 1, 3), 0.5))  # one pixel
    (test / "a8.png").write_bytes(b"")  # empty
    write(test / "a9.png", picture(9))  # equal to its reference
    # a10: no test picture
    write(test / "a11.png", picture(11))
    write(reference / "a11.png", np.ones((48, 48, 3)))  # the reference is white
    write(test / "zz.png", picture(3))  # no reference picture
    found = facefort.measure(test, reference, metrics=["psnr-rgb", "ssim-rgb"])
    rows = by_name(found)
    reasons = {name: row.reason for name, row in rows.items() if row.status == "failed"}
    assert reasons == {
        "a5": "the picture is 40 x 40, its reference 48 x 48; give both one size, or add --fit",
        "a6": "the picture a6.png is one flat colour; what made it has failed",
        "a7": "the picture a7.png has one pixel; there is nothing to measure",
        "a8": f"{test / 'a8.png'} is empty (0 bytes); copy it again from where it came from",
        "a10": "no test picture for the reference a10.png",
        "a11": "the reference a11.png is one flat colour; what made it has failed",
        "zz": "no reference picture called zz",
    }
    assert all(not rows[name].values for name in reasons)
    assert rows["a9"].values["psnr-rgb"] == math.inf
    psnr, ssim = found.summary
    assert (psnr.n, psnr.infinite, psnr.failed) == (5, 1, 7)
    assert (ssim.n, ssim.infinite, ssim.failed) == (6, 0, 7)
    assert psnr.mean == pytest.approx(np.mean([rows[f"a{i}"].values["psnr-rgb"] for i in range(5)]))
    assert found.exit_code() == 1


def test_what_needs_no_reference_is_measured_without_its_partner(folders, toy, write, picture):
    test, reference = folders
    write(test / "zz.png", picture(7))
    toy("mean-level", lambda pictures, _: pictures.mean((1, 2, 3)))
    row = by_name(facefort.measure(test, reference, metrics=["psnr-rgb", "mean-level"]))["zz"]
    assert list(row.values) == ["mean-level"]
    assert row.reason == "no reference picture called zz"


def test_a_broken_metric_stops_neither_its_neighbours_nor_the_other_metrics(folders, toy):
    test, reference = folders
    level = {path.stem: float(Photo.read(path).pixels.mean()) for path in test.iterdir()}
    limit = sorted(level.values())[2] + 1e-4

    def touchy(pictures, _):
        if bool((pictures.mean((1, 2, 3)) > limit).any()):
            raise RuntimeError("no\nsuch\tplane")
        return pictures.mean((1, 2, 3))

    toy("touchy", touchy)
    toy("no-face", lambda pictures, _: (_ for _ in ()).throw(FaceError("no face in it")))
    toy("nan", lambda pictures, _: pictures.mean((1, 2, 3)) * float("nan"))
    toy("minus", lambda pictures, _: pictures.mean((1, 2, 3)) - float("inf"))
    toy("shapeless", lambda pictures, _: pictures.mean())
    found = facefort.measure(test, reference, metrics=["touchy", "no-face", "nan", "minus", "shapeless", "psnr-rgb"])
    assert found["psnr-rgb"].n == 5
    assert (found["touchy"].n, found["touchy"].failed) == (3, 2)
    for row in found.rows:
        if level[row.name] > limit:
            assert row.problems["touchy"] == "touchy broke: RuntimeError: no such plane"
        assert row.problems["no-face"] == "no face in it"
        assert row.problems["nan"] == "nan is NaN"
        assert row.problems["minus"] == "minus is -inf"
        assert row.problems["shapeless"].startswith("shapeless broke: TypeError: 1 pictures gave numbers of shape")
        assert list(row.values)[-1] == "psnr-rgb"
    assert found["nan"].mean is None
    assert (found["nan"].n, found["nan"].failed) == (0, 5)


def test_weights_that_are_missing_are_one_line_with_the_command(folders, toy, monkeypatch):
    from facefort.measuring import plan

    monkeypatch.setattr(plan.assets, "missing", lambda names: [name for name in names if name == "lpips"])
    toy("lpips-like", lambda pictures, _: pictures.mean((1, 2, 3)), weights=("lpips",))

    def absent(pictures, _):
        raise WeightsError("my.pth is missing; put it at /there")

    toy("own-file", absent)
    found = facefort.measure(*folders, metrics=["psnr-rgb", "lpips-like", "own-file"])
    assert found.unmeasured == {
        "lpips-like": "not fetched; run `facefort weights fetch lpips`",
        "own-file": "my.pth is missing; put it at /there",
    }
    assert found["psnr-rgb"].n == 5
    assert [one.name for one in found.summary] == ["psnr-rgb"]
    assert not found.failed
    assert found.exit_code() == 1


def test_metrics_are_named_or_matched(folders, toy):
    toy("toy-one", lambda pictures, _: pictures.mean((1, 2, 3)))
    toy("toy-two", lambda pictures, _: pictures.amax((1, 2, 3)))
    found = facefort.measure(*folders, metrics=["psnr-rgb", "toy-*", "toy-one"])
    assert [one.name for one in found.summary] == ["psnr-rgb", "toy-one", "toy-two"]
    with pytest.raises(UnknownNameError, match="unknown metric 'psnr'; did you mean psnr-"):
        facefort.measure(*folders, metrics=["psnr"])
    with pytest.raises(UsageError, match=r"no metric matches 'fsim\*'"):
        facefort.measure(*folders, metrics=["fsim*"])


def test_a_metric_asked_for_by_name_without_its_reference_is_bad_usage(folders, toy):
    toy("psnr-like", lambda pictures, _: pictures.mean((1, 2, 3)))
    with pytest.raises(UsageError, match="psnr-rgb compares with clean pictures; name them with -r"):
        facefort.measure(folders[0], metrics=["psnr-rgb", "psnr-like"])
    found = facefort.measure(folders[0], metrics=["psnr-*"])
    assert list(found.unmeasured) == ["psnr-rgb", "psnr-y", "psnr-mvc"]
    assert found["psnr-like"].n == 5
    with pytest.raises(UsageError, match="nothing can be measured: psnr-rgb: compares with clean pictures"):
        facefort.measure(folders[0], metrics=["psnr-r*"])


def test_nothing_measurable_is_said_by_the_result(folders, write, tmp_path):
    write(tmp_path / "flat" / "a0.png", np.zeros((48, 48, 3)))
    found = facefort.measure(tmp_path / "flat", folders[1], metrics=["psnr-rgb"])
    assert found.empty
    assert found.exit_code() == 2


def test_exclusion_is_counted_and_leaves_the_number_in_the_row(folders, toy):
    toy("angle", lambda pictures, reference: (pictures - reference).abs().mean((1, 2, 3)) * 100, needs_reference=True)
    every = facefort.measure(*folders, metrics=["angle"])
    values = sorted(row.values["angle"] for row in every.rows)
    limit = (values[1] + values[2]) / 2
    found = facefort.measure(*folders, metrics=["angle"], exclude=[f"angle < {limit}"])
    assert (found["angle"].n, found["angle"].excluded, found["angle"].failed) == (3, 2, 0)
    assert found["angle"].mean == pytest.approx(np.mean(values[2:]))
    assert sorted(row.values["angle"] for row in found.rows) == values
    assert found.complete
    gone = facefort.measure(*folders, metrics=["angle"], exclude=["angle >= 0"])
    assert (gone["angle"].mean, gone["angle"].excluded) == (None, 5)
    assert gone.exit_code() == 1


def test_conditions_decide_the_exit_code_only_where_all_was_measured(folders, write):
    found = facefort.measure(*folders, metrics=["psnr-rgb"])
    mean = found["psnr-rgb"].mean
    assert found.exit_code([f"psnr-rgb < {mean + 1}"]) == 3
    assert found.exit_code([f"psnr-rgb < {mean - 1}"]) == 0
    assert found.missed(["psnr-rgb > 1"]) == [f"psnr-rgb is {mean:.6g}, and must not be > 1"]
    with pytest.raises(UsageError, match="unknown metric in the condition 'ssim-rgb'"):
        facefort.measure(*folders, metrics=["psnr-rgb"], fail_if=["ssim-rgb < 1"])
    write(folders[0] / "a0.png", np.zeros((48, 48, 3)))
    assert facefort.measure(*folders, metrics=["psnr-rgb"]).exit_code([f"psnr-rgb < {mean + 9}"]) == 1


def test_a_crop_border_is_cut_off_both_sides(folders):
    found = facefort.measure(*folders, metrics=["psnr-rgb"], crop_border=4, limit=1)
    pair = [Photo.read(folder / "a0.png").pixels[4:-4, 4:-4] for folder in folders]
    assert found.rows[0].values["psnr-rgb"] == pytest.approx(peak_signal_noise_ratio(*pair, data_range=1), abs=1e-4)


def test_a_larger_reference_is_shrunk_where_the_user_says_so(tmp_path, write, picture):
    large = picture(3, 96, 64)
    small = resize(to_batch([large]), (48, 32))
    write(tmp_path / "r" / "a.png", large)
    write(tmp_path / "t" / "a.png", to_pictures(small)[0])
    write(tmp_path / "r" / "b.png", picture(4, 96, 64))
    write(tmp_path / "t" / "b.png", picture(4, 48, 48))
    found = facefort.measure(tmp_path / "t", tmp_path / "r", metrics=["psnr-rgb"], fit=True)
    assert found.rows[0].values["psnr-rgb"] == math.inf
    assert found.rows[1].reason.startswith("the picture is 48 x 48, its reference 64 x 96")
    assert "larger references were shrunk" in found.notes[0]
    with pytest.raises(UsageError, match="leave --fit out"):
        facefort.measure(tmp_path / "t", tmp_path / "r", protocol="restoreformer", fit=True)


def test_pictures_of_several_sizes_are_measured_together_by_size(tmp_path, write, picture, toy):
    seen = []

    def noted(pictures, _):
        seen.append(tuple(pictures.shape))
        return pictures.mean((1, 2, 3))

    toy("noted", noted)
    for i in range(9):
        write(tmp_path / "t" / f"{i}.png", picture(i, 24 + 8 * (i % 2), 24))
    found = facefort.measure(tmp_path / "t", metrics=["noted"], batch=4)
    assert sorted(seen) == sorted([(4, 3, 24, 24), (1, 3, 24, 24), (4, 3, 32, 24)])
    for row in found.rows:
        assert row.values["noted"] == pytest.approx(Photo.read(tmp_path / "t" / row.test).pixels.mean(), abs=1e-6)
        assert (row.width, row.height) == (24, 24 + 8 * (int(row.name) % 2))


def test_no_gradients_are_kept_and_no_inference_tensors_are_left_behind(folders):
    """What a metric caches while measuring must be usable by an attack afterwards."""
    facefort.measure(*folders, metrics=["ssim-rgb"])
    pictures = torch.rand(1, 3, 48, 48, requires_grad=True)
    metric("ssim-rgb")(pictures, torch.rand(1, 3, 48, 48)).sum().backward()
    assert pictures.grad is not None


def test_provenance_tells_the_pictures_apart(folders, write, picture):
    first = facefort.measure(*folders, metrics=["psnr-rgb"]).info
    assert first["status"] == "done"
    assert first["counts"] == {"done": 5, "failed": 0, "left": 0}
    write(folders[0] / "a0.png", picture(77))
    second = facefort.measure(*folders, metrics=["psnr-rgb"]).info
    assert first["provenance"]["inputs"]["reference"] == second["provenance"]["inputs"]["reference"]
    assert first["provenance"]["inputs"]["test"] != second["provenance"]["inputs"]["test"]


@pytest.fixture
def counted(toy):
    calls = []

    def count(pictures, _):
        calls.append(len(pictures))
        return pictures.mean((1, 2, 3))

    toy("counted", count)
    return calls


def test_a_run_folder_goes_on_where_it_stopped(folders, tmp_path, counted, write, picture):
    settings = MeasureSettings(test=str(folders[0]), reference=str(folders[1]), metrics=("counted", "psnr-rgb"))
    first = run(settings, tmp_path / "run")
    assert sum(counted) == 5
    again = run(settings, tmp_path / "run")
    assert sum(counted) == 5
    assert again.rows == first.rows
    write(folders[0] / "a3.png", picture(55))
    changed = run(settings, tmp_path / "run")
    assert sum(counted) == 6
    assert by_name(changed)["a3"] != by_name(first)["a3"]
    assert by_name(changed)["a2"] == by_name(first)["a2"]


def test_a_run_folder_is_read_back_as_it_was(folders, tmp_path, toy_set, toy, write):
    write(folders[0] / "a2.png", np.zeros((48, 48, 3)))
    toy_set("colour-distance")
    settings = MeasureSettings(
        test=str(folders[0]),
        reference=str(folders[1]),
        metrics=("psnr-*", "colour-distance"),
        exclude=("psnr-rgb < 24",),
    )
    found = run(settings, tmp_path / "run")
    back = store.read(tmp_path / "run")
    assert (back.rows, back.summary, back.unmeasured, back.notes) == (
        found.rows,
        found.summary,
        found.unmeasured,
        found.notes,
    )
    assert back.info["status"] == "failed"
    assert found["psnr-rgb"].excluded > 0


def test_a_run_folder_refuses_pictures_that_have_gone(folders, tmp_path):
    settings = MeasureSettings(test=str(folders[0]), metrics=("psnr-rgb",), reference=str(folders[1]), subset=True)
    run(settings, tmp_path / "run")
    (folders[0] / "a4.png").unlink()
    with pytest.raises(UsageError, match="has a row of a4, which is no longer among the pictures; add --force"):
        run(settings, tmp_path / "run")
    assert len(run(settings, tmp_path / "run", resume=False).rows) == 4


def test_weights_fetched_afterwards_are_measured_by_the_same_command(folders, tmp_path, toy, counted, monkeypatch):
    from facefort.measuring import plan

    toy("late", lambda pictures, _: pictures.amax((1, 2, 3)), weights=("niqe-pristine",))
    settings = MeasureSettings(test=str(folders[0]), metrics=("counted", "late"))
    with monkeypatch.context() as without:
        without.setattr(plan.assets, "missing", list)
        assert list(run(settings, tmp_path / "run").unmeasured) == ["late"]
        assert list(store.read(tmp_path / "run").unmeasured) == ["late"]
    monkeypatch.setattr(plan.assets, "missing", lambda names: [])
    found = run(settings, tmp_path / "run")
    assert found.complete
    assert found["late"].n == 5
    assert store.read(tmp_path / "run").unmeasured == {}


def test_an_interrupted_run_keeps_its_rows(folders, tmp_path, toy, counted):
    def stop(done, total):
        if done >= 2:
            raise KeyboardInterrupt

    settings = MeasureSettings(test=str(folders[0]), metrics=("counted",), batch=1)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "run", stop)
    assert len(store.read(tmp_path / "run").rows) == 2
    assert run(settings, tmp_path / "run").complete
    assert sum(counted) == 5
