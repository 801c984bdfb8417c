"""Every kind of file becomes upright float RGB, compared with what was put into it."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from PIL import Image

from facefort.pictures.photo import Photo


def levels(photo: Photo, white: int = 255) -> np.ndarray:
    return np.rint(photo.pixels * white).astype(np.int64)


@pytest.mark.parametrize(("kind", "name"), [("PNG", "png"), ("TIFF", "tiff"), ("BMP", "bmp")])
def test_rgb_is_exact(kit, save, rng, kind, name):
    array = rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)
    data = kit.pillow_bytes(array, kind)
    photo = Photo.read(save(data, "a"))
    assert photo.pixels.dtype == np.float32
    assert photo.pixels.flags.c_contiguous
    np.testing.assert_array_equal(photo.pixels, array.astype(np.float32) / np.float32(255))
    assert (photo.format, photo.bits, photo.grey, photo.alpha) == (name, 8, False, None)
    assert (photo.width, photo.height) == (17, 13)
    assert photo.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_come_close(kit, save, kind):
    array = kit.smooth()
    photo = Photo.read(save(kit.pillow_bytes(array, kind, quality=95), "a"))
    assert photo.format == kind.lower()
    assert np.abs(levels(photo) - array).mean() < 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "JPEG"])
def test_grey_is_repeated_and_remembered(kit, save, kind):
    array = kit.smooth()[..., 0]
    photo = Photo.read(save(kit.pillow_bytes(array, kind), "a"))
    assert photo.grey
    assert photo.pixels.shape == (48, 64, 3)
    assert (photo.pixels[..., 0] == photo.pixels[..., 2]).all()
    assert np.abs(levels(photo)[..., 1] - array).max() <= (3 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit(kit, save, rng, kind):
    bits = rng.integers(0, 2, (9, 11), dtype=np.uint8) * 255
    photo = Photo.read(save(kit.pillow_bytes(Image.fromarray(bits).convert("1"), kind), "a"))
    np.testing.assert_array_equal(levels(photo)[..., 0], bits)
    assert (photo.bits, photo.grey) == (8, True)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey(kit, save, rng, kind):
    array = rng.integers(0, 65536, (9, 11), dtype=np.uint16)
    photo = Photo.read(save(kit.pillow_bytes(array, kind), "a"))
    assert (photo.bits, photo.grey) == (16, True)
    np.testing.assert_array_equal(levels(photo, 65535)[..., 0], array)


@pytest.mark.parametrize("saver", ["pngsave_buffer", "tiffsave_buffer"])
def test_sixteen_bit_rgba(kit, save, rng, saver):
    array = rng.integers(0, 65536, (9, 11, 4), dtype=np.uint16)
    photo = Photo.read(save(getattr(kit.vips_image(array, "rgb16"), saver)(), "a"))
    assert photo.bits == 16
    np.testing.assert_array_equal(levels(photo, 65535), array[..., :3])
    np.testing.assert_array_equal(np.rint(photo.alpha * 65535), array[..., 3])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept_apart(kit, save, rng, kind, mode):
    array = rng.integers(0, 256, (9, 11, len(mode)), dtype=np.uint8)
    photo = Photo.read(save(kit.pillow_bytes(array, kind), "a"))
    assert photo.grey == (mode == "LA")
    np.testing.assert_array_equal(levels(photo), np.broadcast_to(array[..., :-1], (9, 11, 3)))
    np.testing.assert_array_equal(np.rint(photo.alpha * 255), array[..., -1])


def test_alpha_of_webp(kit, save, rng):
    array = rng.integers(0, 256, (9, 11, 4), dtype=np.uint8)
    photo = Photo.read(save(kit.pillow_bytes(array, "WEBP", lossless=True, exact=True), "a"))
    np.testing.assert_array_equal(levels(photo), array[..., :3])
    np.testing.assert_array_equal(np.rint(photo.alpha * 255), array[..., 3])


def test_premultiplied_tiff_is_divided_by_its_alpha(kit, save):
    straight = np.full((8, 8, 4), (200, 100, 40, 128), np.uint8)
    data = kit.vips_image(straight, "srgb").tiffsave_buffer(premultiply=True)
    assert data[8:12] == bytes((100, 50, 20, 128)), "the file under test is not premultiplied"
    photo = Photo.read(save(data, "a"))
    np.testing.assert_allclose(levels(photo)[0, 0], (200, 100, 40), atol=2)


def test_palette(kit, save, rng):
    indices = rng.integers(0, 3, (9, 11), dtype=np.uint8)
    image = Image.frombytes("P", (11, 9), indices.tobytes())
    image.putpalette([10, 20, 30, 250, 5, 60, 1, 2, 3])
    colours = np.array([[10, 20, 30], [250, 5, 60], [1, 2, 3]])[indices]
    plain = Photo.read(save(kit.pillow_bytes(image, "PNG"), "plain.png"))
    np.testing.assert_array_equal(levels(plain), colours)
    assert plain.alpha is None
    clear = Photo.read(save(kit.pillow_bytes(image, "PNG", transparency=1), "clear.png"))
    np.testing.assert_array_equal(levels(clear), colours)
    np.testing.assert_array_equal(clear.alpha, indices != 1)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_srgb_and_its_profile_goes(kit, save, kind):
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:8, :8] = (0, 255, 255, 0)
    ink[8:, :8] = (0, 0, 0, 255)
    ink[8:, 8:] = (255, 255, 0, 0)
    image = kit.vips_image(ink, "cmyk").icc_transform("cmyk", input_profile="cmyk", embedded=False)
    data = image.jpegsave_buffer(Q=100, subsample_mode="off") if kind == "JPEG" else image.tiffsave_buffer()
    assert b"CMYK" in data, "the file under test has no CMYK profile"
    photo = Photo.read(save(data, "a"))
    assert photo.metadata.icc is None
    red, white, black, blue = (levels(photo)[y, x] for y, x in ((4, 4), (4, 12), (12, 4), (12, 12)))
    assert white.min() > 250
    assert black.max() < 60
    assert red[0] > 200 > 80 > red[2]
    assert blue[2] > 90 > blue[0]


def test_cmyk_without_a_profile(kit, save):
    photo = Photo.read(save(kit.pillow_bytes(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "TIFF"), "a"))
    assert levels(photo).min() == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright(kit, save, kind, orientation):
    upright = kit.smooth(32, 48)
    # The inverse of what EXIF 2.32 (4.6.4 A) asks a viewer to do.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    options = (
        {"tiffinfo": {274: orientation}}
        if kind == "TIFF"
        else {"exif": kit.pillow_exif(kind, kit.make_exif(orientation))}
    )
    photo = Photo.read(save(kit.pillow_bytes(image, kind, **options), "a"))
    assert (photo.width, photo.height) == (48, 32)
    assert np.abs(levels(photo) - upright).mean() < 4


def test_ten_bits_of_avif_reach_white(kit, save):
    white = np.full((64, 64, 3), 65535, np.uint16)
    data = kit.vips_image(white, "rgb16").heifsave_buffer(compression="av1", bitdepth=10, lossless=True)
    photo = Photo.read(save(data, "a.avif"))
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.pixels, 1)


def test_float_tiff(kit, save, rng):
    array = rng.random((9, 11, 3), dtype=np.float32)
    photo = Photo.read(save(kit.vips_image(array, "srgb").tiffsave_buffer(), "a"))
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.pixels, array)


def test_big_tiff(kit, save):
    data = kit.vips_image(kit.smooth(), "srgb").tiffsave_buffer(bigtiff=True)
    assert data[2:4] == b"+\0"
    photo = Photo.read(save(data, "a.tif"))
    np.testing.assert_array_equal(levels(photo), kit.smooth())
    assert photo.metadata.exif is None


def test_alpha_of_bmp(save, rng):
    array = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    masks = b"".join(mask.to_bytes(4, "little") for mask in (0xFF, 0xFF00, 0xFF0000, 0xFF000000))
    # BITMAPV4HEADER: size, width, negative height for rows from the top, planes, bits, bit fields, masks.
    header = struct.pack("<IiiHHIIiiII", 108, 7, -5, 1, 32, 3, array.nbytes, 0, 0, 0, 0) + masks + bytes(52)
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + array.nbytes, 0, 0, 14 + 108) + header + array.tobytes()
    photo = Photo.read(save(data, "a.bmp"))
    np.testing.assert_array_equal(levels(photo), array[..., :3])
    np.testing.assert_array_equal(np.rint(photo.alpha * 255), array[..., 3])


def test_one_pixel(kit, save):
    photo = Photo.read(save(kit.pillow_bytes(np.full((1, 1, 3), 7, np.uint8), "PNG"), "a.png"))
    assert levels(photo).tolist() == [[[7, 7, 7]]]


def test_the_content_decides_not_the_suffix(kit, save):
    assert Photo.read(save(kit.pillow_bytes(kit.smooth(), "PNG"), "a.jpg")).format == "png"


def test_a_thumbnail_is_no_second_page(kit, save):
    thumbnail = Image.fromarray(kit.smooth(12, 16))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    data = kit.pillow_bytes(kit.smooth(), "TIFF", save_all=True, append_images=[thumbnail])
    assert Photo.read(save(data, "a.tif")).width == 64


def test_blocks_are_carried_as_they_lie(kit, save):
    exif, icc = kit.make_exif(1, ">"), kit.srgb_profile()
    for kind in ("JPEG", "PNG", "WEBP"):
        data = kit.pillow_bytes(kit.smooth(), kind, exif=kit.pillow_exif(kind, exif), icc_profile=icc, dpi=(300, 300))
        metadata = Photo.read(save(data, "a")).metadata
        assert (metadata.exif, metadata.icc) == (exif, icc), kind
        if kind != "WEBP":
            assert metadata.dots_per_mm == pytest.approx((300 / 25.4, 300 / 25.4), rel=1e-3)


def test_damaged_exif_does_not_spoil_the_picture(kit, save):
    data = kit.pillow_bytes(kit.smooth(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    photo = Photo.read(save(data, "a.jpg"))
    assert photo.metadata.exif is None
