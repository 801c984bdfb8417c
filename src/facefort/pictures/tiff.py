"""What libvips leaves undone in TIFF files: counting real pages, EXIF and XMP tags.

EXIF moves between a TIFF's directories and a block of its own. A maker's note is moved as it is: where it points to
places in its old file, as some makers' do, these pointers lead nowhere afterwards.
"""

from __future__ import annotations

from facefort.pictures import tags

_NEW_SUBFILE_TYPE = 254
_REDUCED_RESOLUTION = 1
_XMP = 700
_BYTE = 1
# Tags of the first directory that describe the photo (EXIF 2.32, table 4), not how its pixels are stored.
_DESCRIPTIVE = (
    270,  # description
    271,  # make
    272,  # model
    305,  # software
    306,  # date and time
    315,  # artist
    316,  # host computer
    18246,  # rating
    33432,  # copyright
    tags.EXIF_DIRECTORY,
    tags.GPS_DIRECTORY,
)


def pages(file: bytes) -> int:
    """Pictures in a TIFF file; a smaller copy of another page, such as a thumbnail, does not count.

    Raises:
        tags.TagError: the directories are damaged.
    """
    return sum(not _subfile_type(file, offset) & _REDUCED_RESOLUTION for offset in tags.chain(file))


def exif_block(file: bytes) -> bytes | None:
    """The descriptive tags of a TIFF file as an EXIF block, or None where it has none or they are damaged."""
    order = tags.byte_order(file)
    try:
        found = tags.read(file, next(tags.chain(file)))
    except tags.TagError:
        return None
    described = {tag: value for tag, value in found.items() if tag in _DESCRIPTIVE}
    return file[:4] + (8).to_bytes(4, order) + tags.lay_out(described, 8, order) if described else None


def with_tags(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    """A TIFF file with an EXIF block's descriptive tags and an XMP packet added to its first directory.

    Raises:
        tags.TagError: the EXIF block is damaged.
    """
    order = tags.byte_order(file)
    merged = tags.read(file, next(tags.chain(file)))
    if exif is not None:
        found = tags.read(exif, next(tags.chain(exif)))
        if tags.byte_order(exif) != order:
            found = tags.swapped(found)
        merged |= {tag: value for tag, value in found.items() if tag in _DESCRIPTIVE}
    if xmp is not None:
        merged[_XMP] = tags.Value(_BYTE, len(xmp), xmp)
    start = len(file) + len(file) % 2
    return file[:4] + start.to_bytes(4, order) + file[8:].ljust(start - 8, b"\0") + tags.lay_out(merged, start, order)


def _subfile_type(file: bytes, offset: int) -> int:
    for field in tags.fields(file, offset):
        if field.tag == _NEW_SUBFILE_TYPE:
            return tags.integer(file, field.position + 8, 4)
    return 0
