"""Reading for measuring: 8 bits, and everything that must not become a number."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facefort.errors import PictureError
from facefort.measuring.loading import BATCH_PIXELS, Loaded, Loading, batches, load, read, stream
from facefort.measuring.units import Unit
from facefort.pictures.photo import Photo


def test_pixels_are_those_of_an_8_bit_reader(tmp_path, picture, write):
    path = write(tmp_path / "a.png", picture(0, 20, 30))
    levels, sha256 = read(path)
    assert np.array_equal(levels, np.asarray(Image.open(path).convert("RGB")))
    assert len(sha256) == 64


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    pixels = np.random.default_rng(0).random((8, 9, 3)).astype(np.float32)
    Photo.from_array(pixels, bits=16).write(tmp_path / "a.png")
    assert np.abs(read(tmp_path / "a.png")[0] / 255 - pixels).max() <= 0.5 / 255 + 1 / 65535


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((9, 9, 3)), "the picture a.png is one flat colour"),
        (np.full((9, 9, 3), (0.2, 0.4, 0.6)), "one flat colour"),
        (np.full((1, 1, 3), 0.5), "has one pixel"),
    ],
)
def test_what_no_metric_can_judge_is_refused(tmp_path, write, pixels, said):
    with pytest.raises(PictureError, match=said):
        read(write(tmp_path / "a.png", pixels))


def test_nan_is_refused(tmp_path):
    pixels = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    pixels[4, 4] = np.nan
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(PictureError, match=r"a\.tif"):
        read(tmp_path / "a.tif")


def test_a_border_is_cropped_off(tmp_path, picture, write):
    path = write(tmp_path / "a.png", picture(0, 20, 30))
    assert np.array_equal(read(path, crop_border=4)[0], read(path)[0][4:-4, 4:-4])
    with pytest.raises(PictureError, match="nothing is left after cropping"):
        read(path, crop_border=10)


def test_problems_of_a_unit_are_kept_apart(tmp_path, picture, write):
    test = write(tmp_path / "t.png", picture(0, 20, 30))
    large = write(tmp_path / "r.png", picture(0, 40, 60))
    loaded = load(0, Unit("a", test, large), Loading())
    assert loaded.problem == ""
    assert loaded.reference_problem == "the picture is 30 x 20, its reference 60 x 40; give both one size, or add --fit"
    gone = load(1, Unit("a", tmp_path / "no.png", large), Loading())
    assert "does not exist" in gone.problem
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    assert "bad.png" in load(2, Unit("a", test, tmp_path / "bad.png"), Loading()).reference_problem


def test_a_protocol_prescribes_the_size(tmp_path, picture, write):
    test = write(tmp_path / "t.png", picture(0, 20, 30))
    loaded = load(0, Unit("a", test), Loading(size=512, rule="gfpgan"))
    assert loaded.problem == "the protocol gfpgan measures 512 x 512 pictures, not 30 x 20"
    assert loaded.test is None


def test_pictures_stream_in_order(tmp_path, picture, write):
    units = [(i, Unit(str(i), write(tmp_path / f"{i}.png", picture(i, 9, 9)))) for i in range(7)]
    assert [one.index for one in stream(units, Loading(), 3)] == list(range(7))


def made(index, height, width):
    return Loaded(index, Unit(str(index), None), np.zeros((height, width, 3), np.uint8))


def test_batches_hold_one_size_each_and_lose_nothing():
    sizes = [(8, 8), (8, 9), (8, 8), (9, 9), (8, 8), (8, 9), (8, 8), (9, 9), (8, 8)]
    grouped = list(batches((made(i, *size) for i, size in enumerate(sizes)), 3))
    assert all(len({one.test.shape for one in batch}) == 1 and len(batch) <= 3 for batch in grouped)
    assert sorted(one.index for batch in grouped for one in batch) == list(range(9))
    assert [one.index for one in grouped[0]] == [0, 2, 4]


def test_large_pictures_come_alone_and_what_has_no_pixels_at_once():
    side = int(BATCH_PIXELS**0.5) * 2
    given = [made(0, side, side), made(1, side, side), Loaded(2, Unit("2", None), problem="gone"), made(3, 8, 8)]
    assert [[one.index for one in batch] for batch in batches(given, 4)] == [[0], [1], [2], [3]]


def test_a_mixture_of_sizes_does_not_pile_up():
    waiting, most = 0, 0

    def endless():
        nonlocal waiting, most
        for i in range(200):
            waiting += 1
            most = max(most, waiting)
            yield made(i, 8 + i, 8)

    for batch in batches(endless(), 2):
        waiting -= len(batch)
    assert waiting == 0
    assert most <= 4 * 2 + 2
