"""What was read is written back with nothing lost; what cannot be kept is refused or announced."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from PIL import Image

from facefort.errors import OutputError, PictureError, UsageError
from facefort.pictures.metadata import Metadata
from facefort.pictures.photo import Photo
from facefort.pictures.vips import pyvips


def random_photo(rng, **options) -> Photo:
    return Photo.from_array(rng.random((12, 18, 3), dtype=np.float32), **options)


def raw(path) -> np.ndarray:
    """Levels of a file as libvips, without the code under test, reads them."""
    image = pyvips.Image.new_from_file(str(path))
    return image.numpy().reshape(image.height, image.width, image.bands)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("interpretation", "bands", "dtype"),
    [
        ("b-w", 1, np.uint8),
        ("b-w", 2, np.uint8),
        ("srgb", 3, np.uint8),
        ("srgb", 4, np.uint8),
        ("grey16", 1, np.uint16),
        ("grey16", 2, np.uint16),
        ("rgb16", 3, np.uint16),
        ("rgb16", 4, np.uint16),
    ],
)
def test_round_trip_is_exact(kit, tmp_path, rng, suffix, interpretation, bands, dtype):
    array = rng.integers(0, np.iinfo(dtype).max + 1, (33, 47, bands), dtype=dtype)
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    kit.vips_image(array, interpretation).write_to_file(str(first))
    Photo.read(first).write(second)
    written = raw(second)
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, array)


def test_every_level_of_16_bits_survives(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    path = tmp_path / "a.png"
    Photo.from_array(every.astype(np.float64) / 65535, bits=16).write(path)
    np.testing.assert_array_equal(raw(path), every)


def test_bmp_round_trip(kit, tmp_path, rng):
    for array in (kit.smooth(), kit.smooth()[..., 0]):
        (tmp_path / "a.bmp").write_bytes(kit.pillow_bytes(array, "BMP"))
        Photo.read(tmp_path / "a.bmp").write(tmp_path / "b.bmp")
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.bmp")), array)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_stay_close(kit, tmp_path, suffix):
    photo = Photo.from_array(kit.smooth() / 255.0)
    photo.write(tmp_path / f"a{suffix}")
    assert np.abs(Photo.read(tmp_path / f"a{suffix}").pixels - photo.pixels).mean() < 2 / 255


def test_quality_counts(kit, tmp_path, rng):
    photo = random_photo(rng)
    sizes = {}
    for quality in (30, 95):
        for suffix in ("jpg", "webp"):
            photo.write(tmp_path / f"{quality}.{suffix}", quality=quality)
            sizes[quality, suffix] = (tmp_path / f"{quality}.{suffix}").stat().st_size
    assert sizes[30, "jpg"] < sizes[95, "jpg"]
    assert sizes[30, "webp"] < sizes[95, "webp"]


def test_jpeg_keeps_full_colour_resolution(tmp_path, rng):
    random_photo(rng).write(tmp_path / "a.jpg")
    image = Image.open(tmp_path / "a.jpg")
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_grey_stays_grey_unless_it_got_colour(kit, save, tmp_path, suffix):
    photo = Photo.read(save(kit.pillow_bytes(kit.smooth()[..., 0], "PNG"), "grey.png"))
    path = tmp_path / f"out{suffix}"
    photo.replace(photo.pixels * np.float32(0.5)).write(path)
    assert Image.open(path).mode == "L"
    photo.replace(photo.pixels * np.float32([1, 0.5, 0.5])).write(path)
    assert Image.open(path).mode == "RGB"


def test_values_outside_are_clipped(tmp_path):
    Photo.from_array(np.array([[[-0.5, 1.5, 0.5]]], np.float32)).write(tmp_path / "a.png")
    assert raw(tmp_path / "a.png").tolist() == [[[0, 255, 128]]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_round_trip(kit, tmp_path, rng, order, suffix):
    metadata = Metadata(kit.srgb_profile(), kit.make_exif(6, order), kit.XMP, (300 / 25.4, 300 / 25.4))
    path = tmp_path / f"a{suffix}"
    random_photo(rng, metadata=metadata).write(path)

    seen = Image.open(path)
    assert seen.size == (18, 12)
    seen.load()
    exif = seen.getexif()
    details = exif.get_ifd(0x8769)
    assert exif[0x010F] == "Acme Cameras"
    assert exif.get(0x0112, 1) == 1
    assert (details[0xA002], details[0xA003]) == (18, 12)
    assert details[0x9003] == "2020:01:02 03:04:05"
    assert details[0x927C] == kit.MAKER_NOTE
    assert seen.info["icc_profile"] == metadata.icc
    assert b'dc:format="keep me"' in seen.info["xmp"]

    again = Photo.read(path).metadata
    assert again.icc == metadata.icc
    assert b'tiff:Orientation="1"' in again.xmp
    assert b"<exif:PixelXDimension>18<" in again.xmp
    assert kit.THUMBNAIL not in path.read_bytes()
    if suffix != ".webp":
        assert again.dots_per_mm == pytest.approx(metadata.dots_per_mm, rel=1e-2)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_changes_in_place_only(kit, tmp_path, rng, suffix):
    exif = kit.make_exif(1, width=18, height=12)
    random_photo(rng, metadata=Metadata(exif=exif)).write(tmp_path / f"a{suffix}")
    written = Photo.read(tmp_path / f"a{suffix}").metadata.exif
    assert len(written) == len(exif)
    assert exif.replace(kit.THUMBNAIL, bytes(len(kit.THUMBNAIL)))[-90:] == written[-90:]


@pytest.mark.parametrize("with_alpha", [False, True])
def test_webp_with_metadata_still_decodes(kit, tmp_path, rng, with_alpha):
    alpha = rng.random((12, 18), dtype=np.float32) if with_alpha else None
    random_photo(rng, alpha=alpha, metadata=Metadata(exif=kit.make_exif())).write(tmp_path / "a.webp")
    seen = Image.open(tmp_path / "a.webp")
    seen.load()
    assert (seen.size, seen.mode) == ((18, 12), "RGBA" if with_alpha else "RGB")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_passes_between_formats_through_tiff(kit, tmp_path, rng, suffix):
    first, path = tmp_path / "a.tif", tmp_path / f"b{suffix}"
    random_photo(rng, metadata=Metadata(exif=kit.make_exif(6, ">"))).write(first)
    Photo.read(first).write(path)
    exif = Image.open(path).getexif()
    assert exif[0x010F] == "Acme Cameras"
    assert exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


def test_a_turned_photo_is_written_upright(kit, save, tmp_path):
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(kit.smooth(32, 48))))
    data = kit.pillow_bytes(stored, "JPEG", exif=b"Exif\0\0" + kit.make_exif(6), quality=95)
    Photo.read(save(data, "a.jpg")).write(tmp_path / "b.jpg")
    image = Image.open(tmp_path / "b.jpg")
    assert image.size == (48, 32)
    assert image.getexif()[0x0112] == 1
    assert np.abs(np.asarray(image).astype(int) - kit.smooth(32, 48)).mean() < 4


def test_strip_metadata_keeps_what_colours_mean(kit, tmp_path, rng):
    metadata = Metadata(kit.srgb_profile(), kit.make_exif(), kit.XMP)
    random_photo(rng, metadata=metadata).write(tmp_path / "a.png", strip_metadata=True)
    again = Photo.read(tmp_path / "a.png").metadata
    assert (again.icc, again.exif, again.xmp) == (metadata.icc, None, None)
    assert b"Acme" not in (tmp_path / "a.png").read_bytes()


def test_no_metadata_stays_none(tmp_path, rng):
    for suffix in ("jpg", "png", "webp", "tif"):
        random_photo(rng).write(tmp_path / f"a.{suffix}")
        again = Photo.read(tmp_path / f"a.{suffix}").metadata
        assert (again.icc, again.exif, again.xmp) == (None, None, None), suffix


def test_a_grey_profile_goes_when_colour_comes(kit, tmp_path):
    grey_profile = bytearray(kit.srgb_profile())
    grey_profile[16:20] = b"GRAY"
    photo = Photo.from_array(np.full((4, 4, 3), 0.5), grey=True, metadata=Metadata(icc=bytes(grey_profile)))
    coloured = photo.replace(photo.pixels * np.float32([1, 0.5, 0.5]))
    coloured.write(tmp_path / "a.tif")
    assert Photo.read(tmp_path / "a.tif").metadata.icc is None


def test_alpha_is_resized_with_the_pixels(kit, tmp_path, rng):
    alpha = np.zeros((12, 18), np.float32)
    alpha[:, 9:] = 1
    photo = random_photo(rng, alpha=alpha).replace(rng.random((48, 72, 3), dtype=np.float32))
    assert photo.alpha.shape == (48, 72)
    assert photo.alpha[:, :30].max() == 0
    assert photo.alpha[:, -30:].min() == 1
    assert photo.replace(rng.random((5, 7, 3))).alpha.shape == (5, 7)


def test_replace_keeps_everything_else(kit, save, rng):
    photo = Photo.read(save(kit.pillow_bytes(kit.smooth(), "JPEG", exif=b"Exif\0\0" + kit.make_exif(1)), "a.jpg"))
    other = photo.replace(np.zeros((5, 6, 3)))
    assert (other.width, other.height, other.pixels.dtype) == (6, 5, np.float32)
    assert (other.metadata, other.path, other.sha256) == (photo.metadata, photo.path, photo.sha256)
    assert other.format == "jpeg"


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_transparency_is_never_lost_silently(tmp_path, rng, suffix):
    photo = random_photo(rng, alpha=np.ones((12, 18), np.float32))
    with pytest.raises(OutputError, match=r"no transparency; choose one of \.png, \.webp, \.tif$"):
        photo.write(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_losses_are_announced(kit, rng):
    metadata = Metadata(kit.srgb_profile(), kit.make_exif(), kit.XMP)
    photo = random_photo(rng, bits=16, metadata=metadata)
    assert photo.losses("a.tif") == photo.losses("a.PNG") == ()
    assert photo.losses("a.jpg") == ("16 bits a channel",)
    assert photo.losses("a.bmp") == ("16 bits a channel", "the colour profile", "EXIF", "XMP")


def test_16_bits_become_8_where_the_format_has_no_more(tmp_path, rng):
    random_photo(rng, bits=16).write(tmp_path / "a.webp")
    assert Photo.read(tmp_path / "a.webp").bits == 8


def test_exif_too_large_for_jpeg(kit, tmp_path, rng):
    photo = random_photo(rng, metadata=Metadata(exif=kit.make_exif() + bytes(70000)))
    assert photo.losses("a.jpg") == ("EXIF",)
    assert photo.losses("a.png") == ()
    photo.write(tmp_path / "a.jpg")
    assert Photo.read(tmp_path / "a.jpg").metadata.exif is None


@pytest.mark.parametrize("name", ["a.gif", "a", "a.avif"])
def test_unknown_suffix(tmp_path, rng, name):
    with pytest.raises(OutputError, match=r"end the name with one of \.jpg, \.png, \.webp, \.tif, \.bmp"):
        random_photo(rng).write(tmp_path / name)


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range(tmp_path, rng, quality):
    with pytest.raises(UsageError, match="from 1 to 100"):
        random_photo(rng).write(tmp_path / "a.jpg", quality=quality)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_not_written(tmp_path, rng, value):
    photo = random_photo(rng)
    photo.pixels[3, 4, 1] = value
    with pytest.raises(PictureError, match=r"a\.png was not written: .*NaN"):
        photo.write(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path, rng, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"the old one")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left"):
        random_photo(rng).write(path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way(tmp_path, rng):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        random_photo(rng).write(tmp_path / "a.png")
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_missing_folders_are_made(tmp_path, rng):
    random_photo(rng).write(tmp_path / "deep" / "down" / "a.png")
    assert (tmp_path / "deep" / "down" / "a.png").is_file()


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.float32), np.zeros((0, 4, 3)), np.zeros((4, 4, 3), np.uint8)],
)
def test_arrays_that_are_no_photo(pixels):
    with pytest.raises(ValueError, match="pixel"):
        Photo.from_array(pixels)


def test_other_values_that_are_no_photo():
    pixels = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="bits"):
        Photo.from_array(pixels, bits=12)
    with pytest.raises(ValueError, match="format"):
        Photo.from_array(pixels, format="gif")
    with pytest.raises(ValueError, match="alpha"):
        Photo.from_array(pixels, alpha=np.zeros((3, 4)))


def test_xmp_stands_in_png_where_readers_look(kit, tmp_path, rng):
    path = tmp_path / "a.png"
    random_photo(rng, metadata=Metadata(xmp=kit.XMP)).write(path)
    assert b"iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket" in path.read_bytes()
    assert pyvips.Image.new_from_file(str(path)).get("xmp-data").startswith(b"<?xpacket")


@pytest.mark.parametrize("dpi", [None, (300, 150)])
def test_jpeg_says_how_large_it_is_on_paper(tmp_path, rng, dpi):
    metadata = Metadata(dots_per_mm=(dpi[0] / 25.4, dpi[1] / 25.4)) if dpi else Metadata()
    random_photo(rng, metadata=metadata).write(tmp_path / "a.jpg")
    image = Image.open(tmp_path / "a.jpg")
    assert image.info["jfif_version"] == (1, 2)
    assert image.info.get("dpi") == dpi
