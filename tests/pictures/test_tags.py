from __future__ import annotations

import pytest

from facefort.pictures import tags
from facefort.pictures.metadata import clean_exif, settled_exif, settled_xmp


@pytest.mark.parametrize("order", ["<", ">"])
def test_laid_out_again_it_reads_the_same(kit, order):
    block = kit.make_exif(3, order)
    found = tags.read(block, 8)
    name = tags.byte_order(block)
    again = block[:4] + (8).to_bytes(4, name) + tags.lay_out(found, 8, name)
    assert tags.read(again, 8) == found


def test_swapping_gives_the_other_order(kit):
    little, big = (tags.read(kit.make_exif(3, order), 8) for order in "<>")
    assert tags.swapped(little) == big
    assert tags.swapped(big) == little


def test_settled_exif_touches_nothing_else(kit):
    block = kit.make_exif(6)
    settled = settled_exif(block, 70000, 12)
    changed = [at for at, (old, new) in enumerate(zip(block, settled, strict=True)) if old != new]
    thumbnail = range(block.index(kit.THUMBNAIL), block.index(kit.THUMBNAIL) + len(kit.THUMBNAIL))
    in_directories = range(8, 8 + 42 + 54)
    assert all(at in thumbnail or at in in_directories for at in changed)
    found = tags.read(settled, 8)
    assert int.from_bytes(found[tags.EXIF_DIRECTORY][0xA002].data, "little") == 70000
    assert found[0x0112].data == b"\x01\0"
    assert list(tags.chain(settled)) == [8]


@pytest.mark.parametrize("cut", range(0, 134, 7))
def test_damaged_directories_are_dropped(kit, cut):
    assert clean_exif(kit.make_exif()[:cut]) is None


def test_a_value_that_was_cut_off_is_left_out_of_what_is_read(kit):
    block = kit.make_exif()[: kit.make_exif().index(kit.MAKER_NOTE)]
    assert clean_exif(block) == block
    details = tags.read(block, 8)[tags.EXIF_DIRECTORY]
    assert 0x927C not in details
    assert 0xA002 in details


def test_a_circle_of_directories():
    block = b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"
    with pytest.raises(tags.TagError, match="circle"):
        list(tags.chain(block))
    assert clean_exif(block) is None


def test_directories_nested_in_themselves_end():
    pointing_at_itself = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x69\x87\x04\0\x01\0\0\0\x08\0\0\0" + bytes(4)
    depth, inner = 0, tags.read(pointing_at_itself, 8)
    while isinstance(inner.get(tags.EXIF_DIRECTORY), dict):
        depth, inner = depth + 1, inner[tags.EXIF_DIRECTORY]
    assert depth == 3  # the directories that there are: EXIF, GPS, interoperability
    assert isinstance(inner[tags.EXIF_DIRECTORY], tags.Value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'<a tiff:Orientation="8"/>', b'<a tiff:Orientation="1"/>'),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b"<a exif:PixelYDimension = '4000'/>", b"<a exif:PixelYDimension = '30'/>"),
        (b"<tiff:ImageWidth>7</tiff:ImageWidth>", b"<tiff:ImageWidth>200</tiff:ImageWidth>"),
        (b"<photoshop:Orientation>8</photoshop:Orientation>", b"<photoshop:Orientation>8</photoshop:Orientation>"),
    ],
)
def test_settled_xmp(before, after):
    assert settled_xmp(before, 200, 30) == after
