from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from facefort.assets import path
from facefort.errors import UsageError, WeightsError
from facefort.files import CACHE_VARIABLE
from facefort.models import prior
from facefort.models.openvino_ir import constants
from facefort.models.prior import LATENT, PSI, STYLES, FacePrior, _directions, codes, haar_upsample, latent

needs_weights = pytest.mark.weights("mobilestylegan")

# What OpenVINO 2026.4 computes in float32 from the carried files, without truncation: the mean of each channel, and
# the grey value of 8 x 8 squares of 128 px.
OPENVINO_SAYS = {
    0: (
        (0.7048, 0.5479, 0.4882),
        """
        .6952 .6387 .4885 .3941 .5066 .6256 .6503 .7136
        .7441 .4327 .4601 .4569 .3861 .5255 .7261 .7367
        .7396 .3490 .6913 .6883 .5733 .3847 .6580 .7346
        .7039 .4545 .5802 .5557 .5683 .3392 .5167 .7939
        .7714 .6580 .6987 .6456 .6780 .5091 .3539 .8210
        .6724 .5468 .6722 .5679 .5973 .5454 .2589 .6920
        .6331 .3774 .6824 .6621 .6815 .4134 .3595 .6554
        .6757 .4660 .6792 .6526 .6847 .3045 .3668 .6432
        """,
    ),
    1: (
        (0.4726, 0.4313, 0.4649),
        """
        .5975 .5094 .4374 .4483 .4332 .3883 .2972 .3058
        .3744 .3368 .4263 .6802 .6285 .3903 .3819 .4499
        .2307 .3447 .6088 .7179 .6514 .4806 .4144 .4771
        .4524 .4809 .5685 .5278 .4855 .4134 .3482 .3822
        .1909 .4474 .6570 .6671 .5356 .4911 .4348 .4706
        .3621 .3204 .6081 .6120 .4951 .4370 .4560 .4743
        .4222 .2699 .4825 .6124 .5297 .3754 .4924 .4723
        .4514 .3581 .4819 .4718 .3777 .2873 .3536 .4337
        """,
    ),
    2: (
        (0.7470, 0.7059, 0.6717),
        """
        .9988 .9263 .5509 .4396 .5332 .8992 .9988 .9992
        .9863 .6247 .3760 .3440 .4017 .4229 .9696 .9993
        .9024 .5786 .4452 .4893 .5112 .3477 .7398 .9996
        .8123 .5190 .5078 .5396 .4946 .4642 .7587 .9999
        .9128 .6204 .7395 .6531 .5091 .5688 .8609 .8898
        .9994 .8666 .8153 .7031 .5117 .6270 .9222 .9179
        .9328 .7496 .7975 .6934 .4950 .7875 .9709 .9358
        .4084 .4927 .7407 .6353 .4224 .5941 .9715 .9994
        """,
    ),
}


@pytest.fixture(scope="module")
def generator() -> FacePrior:
    return prior.prior()


@pytest.fixture(scope="module")
def faces(generator: FacePrior) -> Tensor:
    """Seeds 0, 1 and 2 without truncation, in one batch."""
    with torch.no_grad():
        return generator(torch.cat([latent(seed) for seed in OPENVINO_SAYS]))


# Parity


@needs_weights
def test_the_faces_are_those_of_the_packages_own_runtime(faces: Tensor) -> None:
    for face, (colour, squares) in zip(faces, OPENVINO_SAYS.values(), strict=True):
        grey = torch.tensor([float(value) for value in squares.split()]).view(1, 8, 8)
        torch.testing.assert_close(F.avg_pool2d(face.mean(0, keepdim=True), 128), grey, atol=2e-4, rtol=0)
        torch.testing.assert_close(face.mean((1, 2)), torch.tensor(colour), atol=2e-4, rtol=0)


@needs_weights
def test_every_pixel_equals_openvino(generator: FacePrior, faces: Tensor) -> None:
    openvino = pytest.importorskip("openvino")
    core, exact = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    mapping, synthesis = (
        core.compile_model(path("mobilestylegan", f"{name}Network.xml"), "CPU", exact)
        for name in ("Mapping", "Synthesis")
    )
    w = mapping([latent(0).numpy()])[0]
    assert np.abs(generator.mapping(latent(0)).numpy() - w).max() < 1e-4
    picture = np.clip(synthesis([w])[0] / 2 + 0.5, 0, 1)
    assert np.abs(picture - faces[:1].numpy()).max() < 1e-3


# The two spaces


@needs_weights
def test_a_batch_holds_the_faces_that_come_alone(generator: FacePrior, faces: Tensor) -> None:
    assert faces.shape == (3, 3, 1024, 1024)
    assert faces.dtype == torch.float32
    assert faces.min() >= 0
    assert faces.max() <= 1
    with torch.no_grad():
        torch.testing.assert_close(generator(latent(2)), faces[2:], atol=1e-4, rtol=0)


@needs_weights
def test_gradients_reach_w(generator: FacePrior) -> None:
    w = generator.mapping(latent(3)).requires_grad_()

    def lightness() -> Tensor:
        return generator.synthesis(w)[..., 480:544, 480:544].mean()

    (slope,) = torch.autograd.grad(lightness(), w)
    with torch.no_grad():
        before = float(lightness())
        w += 0.05 * slope / slope.norm()
        expected = before + 0.05 * float(slope.norm())
        assert float(lightness()) == pytest.approx(expected, rel=0.01, abs=0.1 * (expected - before))
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in generator.parameters())


@needs_weights
def test_a_w_plus_code_styles_each_layer_by_itself(generator: FacePrior, faces: Tensor) -> None:
    with torch.no_grad():
        w = generator.mapping(torch.cat([latent(0), latent(1)]))
        codes = w[:, None].repeat(1, STYLES, 1)
        codes[1, :4] = w[0]  # the coarse layers of face 0, the fine ones of face 1
        same, mixed = generator.synthesis(codes)
    torch.testing.assert_close(same, faces[0], atol=1e-4, rtol=0)
    assert (mixed - faces[0]).abs().mean() > 0.02
    assert (mixed - faces[1]).abs().mean() > 0.02
    with pytest.raises(ValueError, match="23"):
        generator.synthesis(codes[:, :18])


@needs_weights
def test_truncation_goes_to_the_mean_face(generator: FacePrior) -> None:
    w = generator.mapping(torch.cat([latent(0), latent(1)]))
    torch.testing.assert_close(generator.truncate(w, 0), generator.mean.expand(2, LATENT))
    torch.testing.assert_close(generator.truncate(w, 1), w)
    torch.testing.assert_close(generator.truncate(w, 0.5), (w + generator.mean) / 2)
    many = torch.randn(4000, LATENT, generator=torch.Generator().manual_seed(5))
    spread = generator.mapping(many)
    assert (spread.mean(0) - generator.mean[0]).norm() < 0.1 * (spread - generator.mean).norm(dim=1).mean()


@needs_weights
def test_bfloat16_draws_the_same_person(generator: FacePrior, faces: Tensor) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        picture = generator(latent(0))
    assert picture.dtype == torch.float32
    assert (picture - faces[:1]).square().mean() < 1e-4  # 40 dB


# Drawing


@needs_weights
def test_a_drawn_face_depends_on_its_seed_alone(generator: FacePrior) -> None:
    together = generator.draw([5, 4])
    assert together.shape == (2, 3, 256, 256)
    assert together.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):  # which drawing ignores
        assert torch.equal(generator.draw([4]), together[1:])
    levels = together * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_psi_follows_the_seed_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def forward(_: FacePrior, z: Tensor, psi: float) -> Tensor:
        asked.append(psi)
        return torch.zeros(len(z), 3, 1024, 1024)

    monkeypatch.setattr(FacePrior, "forward", forward)
    model = FacePrior()
    model.draw([3, 4, 5, 8000])
    assert asked == [0.6, 0.75, 0.9, 0.9]
    model.draw([3], psi=0.3)
    assert asked[-1] == 0.3


@needs_weights
def test_smaller_faces_are_averages_of_larger_ones(generator: FacePrior) -> None:
    halves = F.avg_pool2d(generator.draw([4], 256), 2)
    assert (generator.draw([4], 128) - halves).abs().max() <= 1 / 255 + 1e-6


@needs_weights
@pytest.mark.shared
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_face_collection_was_drawn_by_this_rule(generator: FacePrior, shared: Path, seed: int) -> None:
    with Image.open(shared / "synthetic256" / f"{seed:06d}.webp") as picture:
        theirs = torch.from_numpy(np.asarray(picture, np.float32)).permute(2, 0, 1) / 255
    # WebP costs it up to 40 dB; the rest is the mean style, an unseeded average where the collection was drawn.
    assert (generator.draw([seed])[0] - theirs).square().mean() < 10**-3.4
    assert (generator.draw([seed], psi=0.3)[0] - theirs).square().mean() > 10**-2.8


@pytest.mark.parametrize("size", [0, -1, 100, 384, 2048])
def test_sizes_that_do_not_divide_the_picture_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"not {size}"):
        FacePrior().draw([0], size)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_numpy_does_not_take_are_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="4294967295"):
        latent(seed)


def test_a_latent_is_numpys_normal_draw() -> None:
    expected = np.random.RandomState(7).randn(1, LATENT)
    assert torch.equal(latent(7), torch.from_numpy(expected).float())


# The wavelet


def test_upsampling_inverts_the_haar_transform() -> None:
    picture = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    corners = F.pixel_unshuffle(picture, 2).unflatten(1, (3, 4))
    signs = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
    average, *details = torch.einsum("bk,nckhw->bnchw", signs, corners)
    coefficients = torch.cat([average, torch.stack(details, 2).flatten(1, 2)], 1)
    torch.testing.assert_close(haar_upsample(coefficients), picture)


# Files


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    prior.prior.cache_clear()
    yield
    prior.prior.cache_clear()


@pytest.mark.usefixtures("empty_cache")
def test_missing_weights_name_the_verb_that_fetches_them() -> None:
    with pytest.raises(WeightsError, match="facefort weights fetch mobilestylegan"):
        prior.prior()


GRAPH = """<net><layers>
<layer name="a" type="Const"><data element_type="f32" offset="4" size="8" shape="1,2"/></layer>
<layer name="b" type="Const"><data element_type="f32" offset="0" size="4" shape=""/></layer>
<layer name="axis" type="Const"><data element_type="i64" offset="0" size="8" shape="1"/></layer>
<layer name="sum" type="Add"/>
</layers></net>"""


def test_constants_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "net.xml").write_text(GRAPH)
    (tmp_path / "net.bin").write_bytes(np.array([3, 1, 2], "<f4").tobytes())
    found = constants(tmp_path / "net.xml")
    assert list(found) == ["a", "b"]
    assert found["a"].tolist() == [[1, 2]]
    assert found["b"].item() == 3


@pytest.mark.parametrize(
    ("graph", "numbers"),
    [("<net>", b""), (GRAPH, bytes(8)), (GRAPH.replace('offset="4" ', ""), bytes(12)), (GRAPH, None)],
    ids=["broken graph", "too few numbers", "no offset", "no numbers"],
)
def test_damaged_files_are_reported_in_one_line(tmp_path: Path, graph: str, numbers: bytes | None) -> None:
    (tmp_path / "net.xml").write_text(graph)
    if numbers is not None:
        (tmp_path / "net.bin").write_bytes(numbers)
    with pytest.raises(WeightsError, match=r"net.xml .* damaged") as caught:
        constants(tmp_path / "net.xml")
    assert "\n" not in str(caught.value)


@needs_weights
def test_a_code_is_the_faces_own_and_says_how_far_it_is_from_the_mean(generator: FacePrior) -> None:
    seeds = list(range(90))
    found = codes(seeds, 64)
    assert found.shape == (90, 64)
    assert torch.allclose(codes([seeds[7]], 64), found[7:8], atol=1e-5)
    assert torch.equal(found[:, -1], torch.full((90,), 4.0))
    # Truncation shortens a code as it does the style; along each direction styles have unit variance before it.
    lengths = torch.stack([found[k::3, :-1].square().mean().sqrt() for k in range(3)])
    assert torch.allclose(lengths, torch.tensor(PSI), atol=0.08), lengths


@needs_weights
def test_long_codes_hold_all_of_a_style(generator: FacePrior) -> None:
    whole = codes([3, 4], 513)[:, :-1].double()
    directions, deviations = _directions()
    styles = (whole * deviations) @ directions.T
    wanted = [PSI[seed % 3] * (generator.mapping(latent(seed)) - generator.mean) for seed in (3, 4)]
    assert torch.allclose(styles.float(), torch.cat(wanted), atol=1e-3)


def test_a_code_has_no_other_widths() -> None:
    with pytest.raises(ValueError, match="2 to 513"):
        codes([0], 1)
