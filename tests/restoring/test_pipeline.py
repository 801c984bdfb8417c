from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.restoring.conftest import SIZE, brighter, face_at, restorer_of, texture
from torch import Tensor

import facefort
from facefort.errors import ConfigError, PictureError, UsageError
from facefort.faces.face import Face
from facefort.faces.paste import keep_colour
from facefort.pictures.photo import Photo
from facefort.restoring.facelist import Entry
from facefort.restoring.pipeline import restore_photo
from facefort.restoring.settings import RestoreSettings

LEFT, RIGHT = face_at(30, 60, 90), face_at(190, 80, 80)
PLAIN = RestoreSettings()


def middle(photo: Photo, face: Face, scale: float = 1) -> np.ndarray:
    x, y = (round(value * scale) for value in face.centre)
    return photo.pixels[y - 5 : y + 5, x - 5 : x + 5]


def test_only_the_faces_change(photo: Photo, make_tools) -> None:
    done = restore_photo(photo, PLAIN, make_tools(lambda x: x.flip(3), (LEFT, RIGHT)))
    assert [face.status for face in done.faces] == ["done", "done"]
    assert np.abs(middle(done.photo, LEFT) - middle(photo, LEFT)).mean() > 0.02
    changed = (done.photo.pixels != photo.pixels).any(2)
    assert not changed[:10].any()
    assert not changed[200:].any()
    assert 0.1 < changed.mean() < 0.7


def test_a_photo_without_a_face_is_returned_as_it_is(photo: Photo, make_tools) -> None:
    done = restore_photo(photo, PLAIN, make_tools())
    assert done.faces == ()
    assert done.photo is photo


def negative(faces: Tensor) -> Tensor:
    return 1 - faces


@pytest.fixture
def face_photo() -> Photo:
    """An aligned face, whose colours are left to the model."""
    return Photo.from_array(texture(SIZE, SIZE))


ALIGNED = RestoreSettings(aligned=True)


def test_faces_go_through_the_model_in_batches(photo: Photo, make_tools) -> None:
    faces = tuple(face_at(10 + 20 * i, 60, 60) for i in range(7))
    tools = make_tools(lambda x: x.flip(3), faces)
    done = restore_photo(photo, RestoreSettings(batch=3), tools)
    assert tools.restorer.network.batches == [3, 3, 1]
    assert [face.index for face in done.faces] == list(range(7))
    for face in done.faces:
        expected = np.clip(keep_colour(face.crop[:, ::-1], face.crop), 0, 1)
        np.testing.assert_allclose(face.restored, expected, atol=0.51 / 255)


def test_one_face_that_fails_leaves_the_others_alone(photo: Photo, make_tools) -> None:
    def fails_on_the_second(faces: Tensor) -> Tensor:
        # Recognised by its content: in a retry of single faces it stands at another place of the batch.
        bad = (faces.mean((1, 2, 3)) - mean).abs() < 1e-6
        return torch.where(bad.view(-1, 1, 1, 1), torch.nan, 1 - faces)

    found = (LEFT, RIGHT, face_at(110, 140, 60))
    crops = restore_photo(photo, PLAIN, make_tools(brighter, found)).faces
    mean = torch.from_numpy(crops[1].crop).mean()
    done = restore_photo(photo, PLAIN, make_tools(fails_on_the_second, found))
    assert [face.status for face in done.faces] == ["done", "failed", "done"]
    assert "NaN" in done.failed[0].reason
    assert done.failed[0].restored is None
    assert done.failed[0].same_person is None
    np.testing.assert_array_equal(middle(done.photo, RIGHT), middle(photo, RIGHT))
    assert (middle(done.photo, LEFT) != middle(photo, LEFT)).any()


def test_landmarks_that_make_no_sense_fail_that_face_alone(photo: Photo, make_tools) -> None:
    broken = Face((10, 10, 60, 60), 0.9, np.zeros((5, 2), np.float32))
    done = restore_photo(photo, PLAIN, make_tools(brighter, (broken, LEFT)))
    assert [face.status for face in done.faces] == ["failed", "done"]
    assert "--box" in done.faces[0].reason


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_weight_is_the_share_of_the_identity_gap_that_is_closed(face_photo: Photo, make_tools, weight: float) -> None:
    tools = make_tools(brighter)
    gap = restore_photo(face_photo, ALIGNED, tools).faces[0].identity
    face = restore_photo(face_photo, RestoreSettings(aligned=True, weight=weight), tools).faces[0]
    assert face.identity == pytest.approx((1 - weight) * gap, abs=0.02)
    assert face.identity <= (1 - weight) * gap + 2 / 255
    assert face.weight_applied == pytest.approx(weight)
    assert face.blend_applied == pytest.approx(weight, abs=0.02)
    if weight == 0:
        np.testing.assert_allclose(face.restored, face.crop + np.float32(0.2), atol=0.51 / 255)
    if weight == 1:
        np.testing.assert_allclose(face.restored, face.crop, atol=0.51 / 255)
        assert "left as it was" in face.warnings[0]


def test_identity_is_yes_below_the_recognisers_limit_and_no_above(face_photo: Photo, make_tools) -> None:
    near = restore_photo(face_photo, ALIGNED, make_tools(lambda x: x + 0.05)).faces[0]
    far = restore_photo(face_photo, ALIGNED, make_tools(brighter)).faces[0]
    assert (near.same_person, far.same_person) == ("yes", "no")
    assert near.identity == pytest.approx(0.15, abs=0.01)
    assert far.identity == pytest.approx(0.6, abs=0.01)


def test_identity_of_a_blurred_face_is_unsure_not_no(make_tools) -> None:
    smooth = np.linspace(0.1, 0.6, 320, dtype=np.float32)[None, :, None].repeat(240, 0).repeat(3, 2)
    done = restore_photo(Photo.from_array(smooth), RestoreSettings(keep_identity=True), make_tools(brighter, (LEFT,)))
    assert done.faces[0].same_person == "unsure"
    assert done.faces[0].blend_applied == 0


def test_keep_identity_blends_just_enough_and_says_so(face_photo: Photo, make_tools) -> None:
    settings = RestoreSettings(aligned=True, keep_identity=True)
    face = restore_photo(face_photo, settings, make_tools(brighter)).faces[0]
    assert face.same_person == "yes"
    assert 0.18 < face.identity <= 0.2
    assert face.weight_applied == pytest.approx(1 - 0.2 / 0.6, abs=0.01)
    assert "67% of the input blended in" in face.warnings[0]
    kept = restore_photo(face_photo, settings, make_tools(lambda x: x + 0.05)).faces[0]
    assert kept.blend_applied == 0


def test_a_grey_photo_stays_grey(make_tools) -> None:
    grey = texture(240, 320)[..., :1].repeat(3, 2)
    tint = torch.tensor([0.3, 0.1, 0.0]).view(1, 3, 1, 1)
    done = restore_photo(Photo.from_array(grey, grey=True), PLAIN, make_tools(lambda x: x + tint, (LEFT,)))
    assert np.ptp(done.photo.pixels, axis=2).max() < 1e-3
    assert (middle(done.photo, LEFT) != grey[100:110, 70:80]).any()


def test_scale_enlarges_photo_and_faces_alike(photo: Photo, make_tools) -> None:
    done = restore_photo(photo, RestoreSettings(scale=2), make_tools(negative, (LEFT,)))
    assert (done.photo.height, done.photo.width) == (480, 640)
    # What the negative adds to the enlarged photo lies where the face does.
    untouched = restore_photo(photo, RestoreSettings(scale=2), make_tools()).photo.pixels
    rows, columns = np.nonzero((done.photo.pixels != untouched).any(2))
    x, _ = LEFT.centre
    assert (columns.min() + columns.max()) / 2 == pytest.approx(2 * x, abs=6)
    assert rows.max() - rows.min() < 2 * 240 - 40


def test_identity_network_at_scale_two_leaves_no_trace_of_the_alignment(make_tools) -> None:
    smooth = np.linspace(0.1, 0.8, 320, dtype=np.float32)[None, :, None].repeat(240, 0).repeat(3, 2)
    photo = Photo.from_array(smooth + np.linspace(0, 0.2, 240, dtype=np.float32)[:, None, None])
    settings = RestoreSettings(scale=2)
    plain = restore_photo(photo, settings, make_tools()).photo.pixels
    done = restore_photo(photo, settings, make_tools(lambda x: x, (face_at(110, 80, 80),))).photo.pixels
    assert np.abs(done - plain).max() < 0.003
    # Half a pixel of misplacement would show as 0.5 * 0.7 / 640 = 5e-4 wherever the face was pasted.
    pasted = (done != plain).any(2)
    assert pasted.mean() > 0.1
    assert abs((done - plain)[pasted].mean()) < 5e-5


def test_a_photo_that_would_become_too_large_is_refused(photo: Photo, make_tools) -> None:
    with pytest.raises(PictureError, match=r"would have 1228800 pixels at scale 4.*-s"):
        restore_photo(photo, RestoreSettings(scale=4, max_pixels=1_000_000), make_tools())


def test_only_the_face_in_the_centre(photo: Photo, make_tools) -> None:
    central = face_at(120, 80, 80)
    done = restore_photo(photo, RestoreSettings(only_center_face=True), make_tools(negative, (LEFT, central)))
    assert [face.status for face in done.faces] == ["skipped", "done"]


def test_a_box_drawn_by_hand_replaces_the_detector(photo: Photo, make_tools) -> None:
    done = restore_photo(photo, RestoreSettings(box="30,60,90,90"), make_tools(negative, (RIGHT,)))
    assert done.faces[0].face.box == (30, 60, 120, 150)
    assert (middle(done.photo, LEFT) != middle(photo, LEFT)).any()
    assert (middle(done.photo, RIGHT) == middle(photo, RIGHT)).all()
    with pytest.raises(PictureError, match="lies outside the photo, which has 320 x 240 pixels"):
        restore_photo(photo, RestoreSettings(box="400,60,90,90"), make_tools())


def test_a_face_list_chooses_and_weighs(photo: Photo, make_tools) -> None:
    listed = [
        Entry("x.png", LEFT.box, keep=False),
        Entry("x.png", RIGHT.box, weight=1.0),
        Entry("x.png", (110, 140, 170, 200)),
    ]
    done = restore_photo(photo, PLAIN, make_tools(negative, (LEFT,)), listed)
    assert [face.status for face in done.faces] == ["skipped", "done", "done"]
    assert [face.weight_applied for face in done.faces] == [None, 1.0, 0.0]
    assert (middle(done.photo, LEFT) == middle(photo, LEFT)).all()


def test_aligned_faces_are_restored_whole(make_tools) -> None:
    photo = Photo.from_array(texture(128, 128))
    done = restore_photo(photo, RestoreSettings(aligned=True), make_tools(brighter, (LEFT,)))
    assert done.photo.pixels.shape == (128, 128, 3)
    np.testing.assert_allclose(done.photo.pixels[::-1].mean(), photo.pixels.mean() + 0.2, atol=0.01)
    exact = Photo.from_array(texture(SIZE, SIZE))
    same = restore_photo(exact, RestoreSettings(aligned=True), make_tools(lambda x: x)).photo
    np.testing.assert_allclose(same.pixels, exact.pixels, atol=0.51 / 255)
    with pytest.raises(PictureError, match="320 x 240 pixels, and an aligned face is square"):
        restore_photo(Photo.from_array(texture(240, 320)), RestoreSettings(aligned=True), make_tools())


def test_a_face_larger_than_the_model_draws_is_noted(photo: Photo, make_tools) -> None:
    large = restore_photo(photo, PLAIN, make_tools(brighter, (face_at(60, 40, 150),))).faces[0]
    small = restore_photo(photo, PLAIN, make_tools(brighter, (face_at(60, 40, 30),))).faces[0]
    assert "the model draws 64 px" in large.warnings[0]
    assert small.warnings == ()


def test_boxes_are_drawn_where_they_are_asked_for(photo: Photo, make_tools) -> None:
    done = restore_photo(photo, RestoreSettings(draw_box=True), make_tools(lambda x: x, (LEFT,)))
    np.testing.assert_allclose(done.photo.pixels[100, 30], (0, 0.8, 0.4), atol=1e-6)


def test_alpha_and_16_bits_survive(make_tools) -> None:
    pixels = texture(240, 320) + np.float32(1 / 1024)
    alpha = np.linspace(0, 1, 320, dtype=np.float32)[None].repeat(240, 0)
    photo = Photo.from_array(pixels, alpha=alpha, bits=16)
    done = restore_photo(photo, RestoreSettings(scale=1.5), make_tools(brighter, (LEFT,))).photo
    assert done.bits == 16
    assert done.alpha.shape == (360, 480)


def test_noise_of_a_model_depends_on_seed_and_photo_alone(photo: Photo, make_tools) -> None:
    tools = make_tools(lambda x: x + 0.1 * torch.randn_like(x), (LEFT,))
    first = restore_photo(photo, PLAIN, tools).photo.pixels
    np.testing.assert_array_equal(first, restore_photo(photo, PLAIN, tools).photo.pixels)
    assert (first != restore_photo(photo, RestoreSettings(seed=1), tools).photo.pixels).any()


@pytest.mark.usefixtures("stand_ins")
class TestPythonApi:
    def test_three_lines(self, tmp_path: Path) -> None:
        Photo.from_array(texture(120, 160)).write(tmp_path / "old.png")
        restored = facefort.restore(tmp_path / "old.png", restorer_of(brighter))
        restored.photo.write(tmp_path / "new.png")
        assert len(restored.faces) == 1
        assert restored.failed == ()
        assert Photo.read(tmp_path / "new.png").pixels.mean() > Photo.read(tmp_path / "old.png").pixels.mean() - 0.01

    def test_settings_are_checked(self, photo: Photo) -> None:
        model = restorer_of(brighter)
        with pytest.raises(ConfigError, match="unknown key 'wieght'; did you mean weight"):
            facefort.restore(photo, model, wieght=1)
        with pytest.raises(ConfigError, match="weight must be at most 1"):
            facefort.restore(photo, model, weight=2)
        with pytest.raises(ConfigError, match="suffix is a setting of folders"):
            facefort.restore(photo, model, suffix="x")
        with pytest.raises(UsageError, match="--aligned and --box each say where the faces are"):
            facefort.restore(photo, model, aligned=True, box="1,2,3,4")
