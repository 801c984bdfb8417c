"""What cannot be read says so in one line that names the file and what to do."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from PIL import Image

from facefort.errors import PictureError
from facefort.pictures.photo import Photo


def refusal(path, **options) -> str:
    with pytest.raises(PictureError) as caught:
        Photo.read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_missing(tmp_path):
    assert "does not exist" in refusal(tmp_path / "no.png")


def test_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_below_a_file(save):
    assert "cannot read" in refusal(save(b"x", "a.png") / "b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe" in refusal(tmp_path / "pipe.png")


def test_empty(save):
    assert "is empty" in refusal(save(b"", "a.jpg"))


def test_text_named_jpg(save):
    assert "is not a picture" in refusal(save(b"Hello, I am a letter.\n" * 9, "a.jpg"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF89a" + bytes(60), "a GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "a HEIC"),
        (b"\0\0\0\x18ftypisom" + bytes(60), "a video"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_other_kinds_are_named(save, data, kind):
    message = refusal(save(data, "a.png"))
    assert kind in message
    assert "convert it to PNG or JPEG" in message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("part", [0.1, 0.6, 0.95])
def test_cut_off(kit, save, rng, kind, part):
    data = kit.pillow_bytes(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), kind)
    assert "is damaged or cut off" in refusal(save(data[: int(len(data) * part)], "a.jpg"))


def test_too_large_is_refused_from_the_header(save):
    header = b"IHDR" + (20000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    checked = b"\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big")
    message = refusal(save(b"\x89PNG\r\n\x1a\n" + checked + b"\0\0\0\x08IDAT" + bytes(64), "bomb.png"))
    assert "20000 x 20000 = 400000000 pixels" in message
    assert "200000000" in message
    assert "--max-pixels 400000000" in message


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "WEBP", "TIFF", "AVIF"])
def test_the_limit_is_the_callers(kit, save, kind):
    path = save(kit.pillow_bytes(kit.smooth(), kind), "a")
    assert "64 x 48" in refusal(path, max_pixels=64 * 48 - 1)
    assert Photo.read(path, max_pixels=64 * 48).width == 64


def test_a_large_bmp_is_bound_by_our_limit_alone(kit, save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert Photo.read(save(kit.pillow_bytes(kit.smooth(), "BMP"), "a")).width == 64


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation(kit, save, rng, kind):
    frames = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(3)]
    data = kit.pillow_bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    assert "is an animation" in refusal(save(data, "a"))


def test_pages(kit, save):
    page = Image.fromarray(kit.smooth())
    assert "holds 2 pages" in refusal(save(kit.pillow_bytes(page, "TIFF", save_all=True, append_images=[page]), "a"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_tiff_that_is_no_number(kit, save, value):
    array = np.zeros((4, 4, 3), np.float32)
    array[1, 2, 0] = value
    assert "not numbers" in refusal(save(kit.vips_image(array, "srgb").tiffsave_buffer(), "a"))


@pytest.mark.parametrize("value", [-0.5, 255.0])
def test_float_tiff_of_another_range(kit, save, value):
    array = np.full((4, 4, 3), value, np.float32)
    assert "scale them to 0..1" in refusal(save(kit.vips_image(array, "srgb").tiffsave_buffer(), "a"))


def test_integers_of_32_bits(kit, save):
    assert "8 or 16 bits" in refusal(save(kit.pillow_bytes(np.zeros((4, 4), np.int32), "TIFF"), "a"))


def test_too_many_channels(kit, save):
    data = kit.vips_image(np.zeros((4, 4, 6), np.uint8), "multiband").tiffsave_buffer()
    assert "colour channels" in refusal(save(data, "a"))


def test_lab_colours(kit, save):
    data = kit.vips_image(np.full((4, 4, 3), 50, np.float32), "lab").tiffsave_buffer()
    assert "LAB" in refusal(save(data, "a"))


def test_a_complaint_that_quotes_the_file_does_not_spoil_the_next_picture(kit, save):
    data = kit.pillow_bytes(kit.smooth(), "AVIF", exif=kit.make_exif(6))
    assert "makes no sense" in refusal(save(data.replace(b"irot", b"ir\xa6t"), "a.avif"))
    for kind in ("JPEG", "PNG", "TIFF"):
        assert Photo.read(save(kit.pillow_bytes(kit.smooth(), kind), "good")).width == 64
    assert "makes no sense" not in refusal(save(kit.pillow_bytes(kit.smooth(), "JPEG")[:500], "cut.jpg"))
