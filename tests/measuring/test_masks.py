"""Measuring inside masks: paired by name like references, and never without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facefort.errors import UsageError
from facefort.measuring.run import run
from facefort.measuring.settings import MeasureSettings
from facefort.metrics import metric
from facefort.pictures.photo import Photo


def settings(folders: tuple[Path, Path], masks: Path, *metrics: str, **more: object) -> MeasureSettings:
    test, reference = map(str, folders)
    return MeasureSettings(test, reference, str(masks), metrics or ("psnr-rgb", "ssim-rgb"), **more)  # type: ignore[arg-type]


@pytest.fixture
def masks(folders, tmp_path, write) -> Path:
    """Left halves, in a file for each picture."""
    half = np.zeros((48, 48, 3), np.float32)
    half[:, :24] = 1
    for i in range(5):
        write(tmp_path / "m" / f"a{i}.png", half)
    return tmp_path / "m"


def test_numbers_are_those_of_the_part(folders, masks) -> None:
    found = run(settings(folders, masks, "psnr-rgb"))
    row = found.rows[2]
    test, clean = (Photo.read(folder / "a2.png").pixels[:, :24] for folder in folders)
    part = metric("psnr-rgb")(*(_tensor(pixels) for pixels in (test, clean))).item()
    assert row.values == {"psnr-rgb-within": pytest.approx(part, abs=1e-4)}
    assert row.mask_sha256
    assert "inside the masks" in found.summary[0].facts.variant


def test_one_file_is_the_mask_of_all(folders, masks) -> None:
    one = run(settings(folders, masks / "a0.png"))
    each = run(settings(folders, masks))
    assert [row.values for row in one.rows] == [row.values for row in each.rows]


def test_a_missing_mask_or_one_of_another_size_is_a_row_that_says_so(folders, masks, write) -> None:
    (masks / "a1.png").unlink()
    write(masks / "a3.png", np.ones((20, 20, 3), np.float32))
    write(masks / "a4.png", np.zeros((48, 48, 3), np.float32))
    found = run(settings(folders, masks, "psnr-rgb"))
    assert [row.status for row in found.rows] == ["ok", "failed", "ok", "failed", "failed"]
    assert "no mask a1" in found.rows[1].reason
    assert "the picture is 48 x 48, its mask 20 x 20" in found.rows[3].reason
    assert "empty mask" in found.rows[4].reason
    assert not any(row.values for row in found.rows if row.status == "failed")


def test_what_has_no_version_inside_masks_is_named(folders, masks) -> None:
    with pytest.raises(UsageError, match="niqe-pooled cannot be measured inside a mask"):
        run(settings(folders, masks, "niqe-pooled"))
    found = run(settings(folders, masks, "psnr-rgb", "niqe*"))
    assert "cannot be measured inside a mask" in found.unmeasured["niqe"]


def test_conditions_name_what_is_measured(folders, masks) -> None:
    found = run(settings(folders, masks, fail_if=("psnr-rgb-within < 90",)))
    assert found.missed(("psnr-rgb-within < 90",))
    with pytest.raises(UsageError, match="psnr-rgb-within"):
        run(settings(folders, masks, fail_if=("psnr-rgb < 90",)))


def test_a_protocol_takes_no_masks(folders, masks) -> None:
    with pytest.raises(UsageError, match="whole pictures"):
        run(MeasureSettings(str(folders[0]), str(folders[1]), str(masks), protocol="gfpgan"))


def test_a_changed_mask_is_measured_again(folders, masks, tmp_path, write) -> None:
    before = run(settings(folders, masks), tmp_path / "run")
    write(masks / "a0.png", np.ones((48, 48, 3), np.float32))
    after = run(settings(folders, masks), tmp_path / "run")
    assert before.rows[0].values != after.rows[0].values
    assert before.rows[1].values == after.rows[1].values


def _tensor(pixels: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
