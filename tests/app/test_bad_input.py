"""Everything that goes wrong in practice: one line, the right exit code, and nothing half-written."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefort.pictures.photo import Photo
from facefort.runs import RunFolder

pytestmark = pytest.mark.weights("centerface", "facemesh", "dlib-resnet")
posix = pytest.mark.skipif(os.name == "nt", reason="signals and mounts of POSIX systems")

ORIENTATION = 0x0112


def assert_whole(folder: Path) -> None:
    """No temporary file lies in a run folder, and every picture in it can be read."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix == ".part"]
    for path in files:
        if path.suffix in (".png", ".jpg"):
            Photo.read(path)


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.uint8(pixels * 255 + 0.5)).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG of 77 bytes that says it has 20000 x 20000 pixels."""
    header = b"IHDR" + (20000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    checked = b"\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + checked + b"\0\0\0\x08IDAT" + bytes(32)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("empty.jpg", lambda face: b"", "is empty"),
        ("cut.jpg", lambda face: jpeg(face)[:2000], "is damaged or cut off"),
        ("bomb.png", lambda face: bomb(), "--max-pixels 400000000"),
        ("letter.jpg", lambda face: b"Dear Sir or Madam,\n" * 50, "is not a picture"),
    ],
)
def test_a_file_that_cannot_be_read_fails_alone(restore, scenes, tmp_path, name, make, said):
    photos = tmp_path / "photos"
    good = scenes.write(photos / "good.jpg", 0)
    (photos / name).write_bytes(make(scenes.array(0)))
    done = restore(photos)
    assert done.code == 1
    assert done.err == ""
    lines = [line for line in done.out.splitlines() if line.startswith(f"{name}: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}: failed: ")
    assert said in lines[0]
    assert done.out.splitlines()[-1].startswith("2 photos, 1 face, 1 failed.")
    assert [path.name for path in (tmp_path / "out" / "restored_imgs").iterdir()] == [good.name]
    assert_whole(tmp_path / "out")


def test_a_photo_of_one_pixel_comes_out_as_it_was(restore, tmp_path):
    photo = tmp_path / "dot.png"
    Photo.from_array(np.full((1, 1, 3), 0.5, np.float32)).write(photo)
    done = restore(photo)
    assert done.code == 0
    assert done.out.startswith("dot.png: no face found")
    assert (tmp_path / "out" / "restored_imgs" / "dot.png").read_bytes() == photo.read_bytes()


def test_a_photo_without_a_face_is_copied_byte_by_byte_and_says_so(restore, scenes, tmp_path):
    photo = tmp_path / "wall.jpg"
    photo.write_bytes(jpeg(scenes.array()))
    done = restore(photo)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("wall.jpg: no face found (try --threshold or --box)")
    assert (tmp_path / "out" / "restored_imgs" / "wall.jpg").read_bytes() == photo.read_bytes()


def test_twelve_faces_are_all_restored(restore, scenes, tmp_path):
    done = restore(scenes.write(tmp_path / "class.png", *range(12)))
    assert done.code == 0
    assert done.out.startswith("class.png: 12 faces: ")
    assert len(list((tmp_path / "out" / "cmp").iterdir())) == 12


def test_cmyk_comes_out_as_rgb(restore, scenes, tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.uint8(scenes.array(0) * 255)).convert("CMYK").save(stream, "JPEG", quality=95)
    (tmp_path / "print.jpg").write_bytes(stream.getvalue())
    done = restore(tmp_path / "print.jpg")
    assert done.code == 0
    assert "1 face" in done.out
    with Image.open(tmp_path / "out" / "restored_imgs" / "print.jpg") as restored:
        assert restored.mode == "RGB"
        # The ground stays about what it was: the inks were turned into their colours, not read as colours.
        assert np.asarray(restored)[2, 2].tolist() == pytest.approx([89, 89, 89], abs=20)


def test_sixteen_bits_stay(restore, scenes, tmp_path):
    ramp = scenes.array(0) * np.float32(0.9)
    photo = Photo.from_array(ramp, bits=16)
    photo.write(tmp_path / "deep.png")
    assert restore(tmp_path / "deep.png").code == 0
    before, after = Photo.read(tmp_path / "deep.png"), Photo.read(tmp_path / "out" / "restored_imgs" / "deep.png")
    assert (before.bits, after.bits) == (16, 16)
    assert np.array_equal(before.pixels[:8], after.pixels[:8])
    assert not np.array_equal(before.pixels, after.pixels)


def test_alpha_stays(restore, scenes, tmp_path):
    pixels = scenes.array(0)
    alpha = np.broadcast_to(np.linspace(0, 1, pixels.shape[1], dtype=np.float32), pixels.shape[:2])
    Photo.from_array(pixels, alpha=np.ascontiguousarray(alpha)).write(tmp_path / "cut-out.png")
    assert restore(tmp_path / "cut-out.png").code == 0
    before, after = Photo.read(tmp_path / "cut-out.png"), Photo.read(tmp_path / "out" / "restored_imgs" / "cut-out.png")
    assert after.alpha is not None
    assert np.array_equal(before.alpha, after.alpha)
    assert not np.array_equal(before.pixels, after.pixels)


def test_transparency_that_the_chosen_format_cannot_keep_fails_the_photo(restore, scenes, tmp_path):
    pixels = scenes.array(0)
    Photo.from_array(pixels, alpha=np.full(pixels.shape[:2], 0.5, np.float32)).write(tmp_path / "half.png")
    done = restore(tmp_path / "half.png", "--ext", "jpg")
    assert done.code == 1
    assert "half.png: failed: half.png is transparent in parts, which .jpg cannot keep; choose --ext png" in done.out
    assert_whole(tmp_path / "out")


def test_a_photo_that_lies_on_its_side_comes_out_upright(restore, scenes, tmp_path):
    upright = scenes.array(0, 1)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise for viewing
    (tmp_path / "phone.jpg").write_bytes(jpeg(np.rot90(upright), exif=exif.tobytes()))
    done = restore(tmp_path / "phone.jpg")
    assert done.code == 0
    assert "2 faces" in done.out
    with Image.open(tmp_path / "out" / "restored_imgs" / "phone.jpg") as restored:
        assert restored.size == (upright.shape[1], upright.shape[0])
        assert restored.getexif().get(ORIENTATION) == 1
        assert np.abs(np.asarray(restored)[:8] / 255 - upright[:8]).max() < 0.05


@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_file_where_the_folder_should_be(restore, scenes, tmp_path, place):
    (tmp_path / "taken").write_text("mine")
    done = restore(scenes.write(tmp_path / "a.png", 0), "-o", tmp_path / place)
    assert done.code == 1
    assert "a file stands where a folder is needed" in done.fault
    assert (tmp_path / "taken").read_text() == "mine"


def test_two_at_a_time_in_one_folder(restore, scenes, tmp_path):
    photo = scenes.write(tmp_path / "a.png", 0)
    with RunFolder.open(tmp_path / "out", verb="restore", settings={}, provenance={}):
        done = restore(photo)
        assert done.code == 2
        assert "another facefort writes to" in done.fault
    assert not (tmp_path / "out" / "restored_imgs").exists()


def test_a_folder_that_holds_a_run_of_another_verb(restore, scenes, tmp_path):
    photo = scenes.write(tmp_path / "a.png", 0)
    with RunFolder.open(tmp_path / "out", verb="audit", settings={}, provenance={}) as other:
        other.add("cell", "unit", {})
    done = restore(photo)
    assert done.code == 2
    assert "holds a run of 'audit', this is 'restore'" in done.fault
    with RunFolder.read(tmp_path / "out") as other:
        assert [row.unit for row in other.rows()] == ["unit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such.jpg",), "no file or folder no-such.jpg; check the name"),
        (("none/*.jpg",), "no picture matches none/*.jpg"),
        ((), "no input; name a picture"),
        (("{photo}", "-w", "2"), "weight must be"),
        (("{photo}", "--wieght", "1"), "--weight"),
        (("{photo}", "--detector", "centreface"), "unknown detector 'centreface'; did you mean centerface"),
        (("{photo}", "--aligned", "--box", "1,1,9,9"), "--aligned and --box each say where the faces are"),
        (("{photo}", "--box", "1,1,9"), "--box takes left,top,width,height"),
        (("{photo}", "--faces", "no-such.json"), "cannot read the face list no-such.json"),
        (("{photo}", "--ext", "bmp"), "'bmp' is not one of"),
    ],
)
def test_bad_usage_writes_nothing(restore, scenes, tmp_path, arguments, said):
    photo = scenes.write(tmp_path / "a.png", 0)
    done = restore(*(argument.format(photo=photo) for argument in arguments))
    assert done.code == 2
    assert said in done.fault
    assert done.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("gfpgan-9000", 2, "unknown model 'gfpgan-9000'"),
        ("absent.pth", 1, "no checkpoint at absent.pth"),
        ("{tmp}/a.png", 1, "a.png is not a checkpoint"),
    ],
)
def test_a_model_that_is_none(facefort, scenes, tmp_path, model, code, said):
    photo = scenes.write(tmp_path / "a.png", 0)
    done = facefort("restore", photo, "-o", tmp_path / "out", "-m", model.format(tmp=tmp_path))
    assert done.code == code
    assert said in done.fault
    assert not (tmp_path / "out").exists()


class Malice:
    """Unpickles by running a shell command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_a_malicious_checkpoint_is_refused_by_name_and_not_run(facefort, scenes, tmp_path):
    mark = tmp_path / "was-here"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"params_ema": Malice(mark)}))
    photo = scenes.write(tmp_path / "a.png", 0)
    done = facefort("restore", photo, "-o", tmp_path / "out", "-m", tmp_path / "evil.pth")
    assert done.code == 1
    assert f"evil.pth was refused: unpickling it would call {os.system.__module__}.system" in done.fault
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


@pytest.fixture
def start(checkpoint: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `facefort restore` as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: object, out: Path = tmp_path / "out") -> subprocess.Popen[str]:
        words = [*map(str, arguments), "-o", str(out), "-m", str(checkpoint)]
        process = subprocess.Popen(
            [sys.executable, "-m", "facefort", "restore", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Jobs in the background of some shells ignore ctrl-C, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


PHOTOS = 6


@pytest.fixture
def many(scenes, tmp_path: Path) -> Path:
    """Photos of one face each."""
    for number in range(PHOTOS):
        scenes.write(tmp_path / "photos" / f"{number}.png", number)
    return tmp_path / "photos"


def after_lines(process: subprocess.Popen[str], count: int, stop: int) -> list[str]:
    """Sends a signal after so many lines, and returns them."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    process.send_signal(stop)
    return lines


def counted(out: Path) -> tuple[str, Counter[str]]:
    """Status of a run, and how many rows each photo and each face has."""
    with RunFolder.read(out) as folder:
        rows = Counter(f"{row.cell} {row.unit}" for row in folder.rows() if row.status == "done")
        return folder.info["status"], rows


def everything() -> Counter[str]:
    units = [f"photo {number}.png" for number in range(PHOTOS)] + [f"face {number}.png#0" for number in range(PHOTOS)]
    return Counter(units)


@posix
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(start, many, tmp_path):
    out = tmp_path / "out"
    first = start(many)
    lines = after_lines(first, 2, signal.SIGINT)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130
    # click first ends the line on which a terminal shows ^C.
    assert err == "\nfacefort: interrupted; what is done is kept, the same command goes on from there\n"
    status, rows = counted(out)
    assert status == "interrupted"
    assert {f"photo {line.split(':')[0]}" for line in lines} <= set(rows)
    assert sum(key.startswith("photo") for key in rows) < PHOTOS
    assert_whole(out)

    second = start(many)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert said.count("already done") == sum(key.startswith("photo") for key in rows)
    assert counted(out) == ("done", everything())
    assert len(list((out / "restored_imgs").iterdir())) == PHOTOS


@posix
def test_after_kill_nothing_is_lost_or_counted_twice(start, many, tmp_path):
    out = tmp_path / "out"
    first = start(many)
    after_lines(first, 2, signal.SIGKILL)
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL
    status, rows = counted(out)
    assert status == "running"
    # What a write that was under way at that moment leaves behind.
    left_over = out / "restored_imgs" / ".9.png.abcd_123.part"
    left_over.write_bytes(b"half a pict")

    second = start(many)
    said, err = second.communicate(timeout=60)
    assert second.returncode == 0
    assert err.startswith(f"facefort: {out}: the last run was killed; ")
    assert err.count("\n") == 1
    assert said.count("already done") == sum(key.startswith("photo") for key in rows)
    assert counted(out) == ("done", everything())
    assert len(list((out / "restored_imgs").iterdir())) == PHOTOS
    assert len((out / "faces.csv").read_text(encoding="utf-8").splitlines()) == 1 + PHOTOS
    assert_whole(out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if made.returncode:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")
    yield place
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


@posix
def test_a_full_disk_stops_the_run_and_it_goes_on_once_there_is_space(start, many, small_disk):
    out = small_disk / "out"
    first = start(many, "-s", "3", out=out)
    said, err = first.communicate(timeout=60)
    assert first.returncode == 1
    assert err.startswith("facefort: no space left to write ")
    assert err.endswith("free some and run the same command again, what is done is kept\n")
    assert err.count("\n") == 1
    finished = said.count("same person") + said.count("another person") + said.count("too little")
    assert 0 < finished < PHOTOS
    assert_whole(out)

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    second = start(many, "-s", "3", out=out)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert said.count("already done") == finished
    assert counted(out) == ("done", everything())
