"""Identity metrics: the papers' steps redone with the papers' tools, identical pictures, pictures without a face."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort import assets
from facefort.assets import brought
from facefort.errors import FaceError, WeightsError
from facefort.files import CACHE_VARIABLE
from facefort.metrics import METRICS, metric
from facefort.metrics.identity import angle, cosine, degrees, percent
from facefort.metrics.identity_papers import grey_of_deg, grey_of_idd
from facefort.metrics.statistics import mean_ci
from facefort.models.judges import arcface_ir_se50, arcface_resnet18, chips
from facefort.models.judges.identity import RECOGNISERS, recogniser
from facefort.models.sources import faces as faces_of

JUDGES = [pytest.param(e.name, marks=pytest.mark.weights(*e.facts["weights"], "facemesh")) for e in RECOGNISERS]


@pytest.fixture(scope="module")
def people() -> Tensor:
    return next(faces_of("samples", 256, limit=3).batches(3)).faces


@pytest.fixture(scope="module")
def restored(people: Tensor) -> Tensor:
    """The people, blurred and darkened, in 8 bits."""
    return ((F.avg_pool2d(people, 5, 1, 2) * 0.9) * 255).round() / 255


# From two embeddings to a number


def vectors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(50, 512, generator=generator), torch.randn(50, 512, generator=generator)


def test_an_angle_is_the_arccos_of_the_cosine() -> None:
    a, b = vectors()
    ours = angle(a + b, b)
    unit = (F.normalize((a + b).double()) * F.normalize(b.double())).sum(1)
    torch.testing.assert_close(ours, unit.clamp(-1, 1).arccos())
    torch.testing.assert_close(degrees(a + b, b), ours.rad2deg())
    torch.testing.assert_close(percent(a, b), 100 * cosine(a, b))


def test_parallel_and_opposite_embeddings_have_exact_angles_and_finite_gradients() -> None:
    a, _ = vectors()
    for other, wanted in ((a * 3, 0.0), (-a, math.pi)):
        one = a.clone().requires_grad_()
        found = angle(one, other)
        torch.testing.assert_close(found, torch.full((50,), wanted, dtype=torch.float64), atol=1e-6, rtol=0)
        found.sum().backward()
        assert one.grad is not None
        assert bool(one.grad.isfinite().all())
    assert bool(cosine(a * 1e-3, a * 1e3).le(1).all())


@pytest.mark.parametrize(("apart", "counted"), [(0.0, True), (0.99, True), (1.01, False), (30.0, False)])
def test_below_one_degree_a_pair_is_counted_and_not_averaged(apart: float, counted: bool) -> None:
    theta = math.radians(apart)
    found = degrees(torch.tensor([[1.0, 0.0]]), torch.tensor([[math.cos(theta), math.sin(theta)]]))
    assert math.isinf(found.item()) == counted
    table = mean_ci([*found.tolist(), 40.0])
    assert table.n_infinite == counted
    assert table.mean == pytest.approx(40.0 if counted else (apart + 40) / 2, abs=1e-4)


# With a recogniser in use


@pytest.mark.parametrize("judge", JUDGES)
def test_the_forms_of_one_comparison_agree(judge: str, people: Tensor, restored: Tensor) -> None:
    found = {kind: metric(f"{kind}-{judge}")(restored, people) for kind in ("identity", "cosine", "deg", "ids")}
    torch.testing.assert_close(found["ids"], 100 * found["cosine"])
    torch.testing.assert_close(found["deg"], found["cosine"].double().arccos().rad2deg(), rtol=1e-4, atol=1e-4)
    network = recogniser(judge)
    torch.testing.assert_close(found["identity"], network.distance(network(restored), network(people)))


@pytest.mark.parametrize("judge", JUDGES)
def test_identical_pictures_are_at_the_end_of_each_scale(judge: str, people: Tensor) -> None:
    ends = {"identity": 0.0, "cosine": 1.0, "deg": math.inf, "ids": 100.0, "id-sim": 1.0}
    for kind, end in ends.items():
        found = metric(f"{kind}-{judge}")(people[:1], people[:1]).double()
        torch.testing.assert_close(found, torch.tensor([end], dtype=torch.float64), atol=2e-4, rtol=0)


@pytest.mark.weights("arcface-mobilefacenet", "facemesh")
def test_id_sim_resizes_the_whole_crop(people: Tensor, restored: Tensor) -> None:
    network = recogniser("arcface-mbf")
    ours = metric("id-sim-arcface-mbf")(restored, people)
    a, b = (
        network.embed(F.interpolate(faces, (112, 112), mode="bilinear", align_corners=True))  # type: ignore[operator]
        for faces in (restored, people)
    )
    torch.testing.assert_close(ours, F.cosine_similarity(a, b))
    assert not torch.allclose(ours, metric("cosine-arcface-mbf")(restored, people), atol=1e-3)


def test_the_name_of_a_metric_says_which_network_made_it() -> None:
    for entry in RECOGNISERS:
        for kind in ("identity", "cosine", "deg", "ids", "id-sim"):
            assert METRICS.get(f"{kind}-{entry.name}").name == f"{kind}-{entry.name}"


# With the networks of the papers, which the user brings


def random_weights(network: nn.Module) -> dict[str, Tensor]:
    """Random weights with which embeddings of different faces differ."""
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for key, value in state.items():
        if value.ndim > 1:
            state[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
    return state


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the mesh, and with files of the published form for both networks."""
    cache = tmp_path_factory.mktemp("cache")
    shutil.copytree(assets.path("facemesh").parent, cache / "assets" / "facemesh")
    file = cache / "file.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(cache))
        for name, network in (
            ("arcface-resnet18", arcface_resnet18.ArcFaceResNet18()),
            ("arcface-ir-se50", arcface_ir_se50.ArcFaceIRSE50()),
        ):
            torch.save(random_weights(network), file)
            brought.add(name, file)
    return cache


@pytest.fixture
def with_official(official: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(official))
    for module in (arcface_resnet18, arcface_ir_se50):
        module.shared.cache_clear()
    yield
    for module in (arcface_resnet18, arcface_ir_se50):
        module.shared.cache_clear()


def pixels(face: Tensor) -> np.ndarray:
    return (face.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def grey_by_opencv(face: Tensor, folder: Path) -> np.ndarray:
    """VQFR's reading of a PNG, with OpenCV."""
    file = folder / "face.png"
    assert cv2.imwrite(str(file), pixels(face)[:, :, ::-1])
    small = cv2.resize(cv2.imread(str(file), 0), (128, 128), interpolation=cv2.INTER_LINEAR)
    return (small.astype(np.float32) - 127.5) / 127.5


@pytest.mark.parametrize(("size", "off"), [(128, 0), (256, 0), (512, 0), (200, 1)])
def test_deg_shows_the_network_what_opencv_reads(people: Tensor, tmp_path: Path, size: int, off: int) -> None:
    face = (F.interpolate(people[:1], size, mode="bilinear") * 255).round() / 255
    ours = grey_of_deg(face)[0, 0].numpy()
    levels = np.rint((ours - grey_by_opencv(face[0], tmp_path)) * 127.5)
    assert np.abs(levels).max() <= off


def test_deg_passes_a_gradient_through_the_rounding(people: Tensor) -> None:
    face = people[:1].clone().requires_grad_()
    grey_of_deg(face).sum().backward()
    assert face.grad is not None
    assert face.grad.abs().sum() > 0


@pytest.mark.weights("facemesh")
@torch.no_grad()
def test_deg_and_ids_are_those_of_vqfrs_steps(with_official, people: Tensor, restored: Tensor, tmp_path: Path) -> None:
    network = arcface_resnet18.shared()
    for one, other, found, hundredths in zip(
        restored, people, metric("deg")(restored, people), metric("ids")(restored, people), strict=True
    ):
        pair = np.stack([grey_by_opencv(one, tmp_path), grey_by_opencv(other, tmp_path)])
        a, b = network(torch.from_numpy(pair)[:, None]).numpy()
        similarity = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
        assert found.item() == pytest.approx(np.arccos(similarity) / math.pi * 180, abs=0.02)
        assert hundredths.item() == pytest.approx(100 * similarity, abs=0.01)


@pytest.mark.weights("facemesh")
@torch.no_grad()
def test_idd_is_that_of_restoreformers_steps(with_official, people: Tensor, restored: Tensor) -> None:
    network, embeddings = arcface_resnet18.shared(), []
    for face in (restored[0], people[0]):
        bgr = torch.from_numpy(pixels(face)[:, :, ::-1].astype(np.float32) / 255.0).permute(2, 0, 1)[None]
        grey = 0.2989 * bgr[:, 0] + 0.5870 * bgr[:, 1] + 0.1140 * bgr[:, 2]
        grey = F.interpolate(grey[:, None], (128, 128), mode="bilinear", align_corners=False)
        torch.testing.assert_close(grey_of_idd(face[None]), grey)
        embeddings.append(network(grey).numpy().squeeze())
    a, b = embeddings
    wanted = np.arccos(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
    assert metric("idd")(restored[:1], people[:1]).item() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.weights("facemesh")
@torch.no_grad()
def test_id_sim_has_both_protocols(with_official, people: Tensor, restored: Tensor) -> None:
    network = arcface_ir_se50.shared()
    prepared = {
        "id-sim": lambda x: F.interpolate(x, (112, 112), mode="bilinear", align_corners=True),
        "id-sim-aligned": lambda x: chips.cut(x, "ffhq", chips.ARCFACE),
    }
    for name, prepare in prepared.items():
        wanted = (network(prepare(restored)) * network(prepare(people))).sum(1)
        torch.testing.assert_close(metric(name)(restored, people), wanted, atol=1e-5, rtol=0)


@pytest.mark.weights("facemesh")
@pytest.mark.parametrize("name", ["deg", "idd", "ids", "id-sim"])
def test_a_papers_metric_gives_gradients_and_no_number_without_a_face(with_official, people: Tensor, name: str) -> None:
    measure = metric(name)
    picture = (people[:1] * 0.8).requires_grad_()
    measure(picture, people[:1]).sum().backward()
    assert picture.grad is not None
    assert bool(picture.grad.isfinite().all())
    same = people[:1].clone().requires_grad_()
    measure(same, people[:1]).sum().backward()
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())
    with pytest.raises(FaceError, match="pictures 1 of 1"):
        measure(torch.rand(1, 3, 256, 256), people[:1])


@pytest.mark.weights("facemesh")
def test_weights_that_were_not_brought_are_named(people: Tensor, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(assets.path("facemesh").parent, tmp_path / "assets" / "facemesh")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    arcface_resnet18.shared.cache_clear()
    with pytest.raises(WeightsError, match=r"resnet18_110\.pth .*run `facefort weights add arcface-resnet18 FILE`"):
        metric("deg")(people[:1], people[:1])
