from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facefort import assets
from facefort.errors import UnknownNameError, WeightsError
from facefort.models.judges import chips, dlib_resnet, edgeface, mobilefacenet
from facefort.models.judges.dlib_weights import read_layers
from facefort.models.judges.identity import Recogniser, recogniser
from facefort.models.judges.onnx_weights import read_nodes

DLIB_SAYS = [-0.0485930, 0.1183812, 0.0574565, 0.0118755]

NAMES = [
    pytest.param("dlib", marks=pytest.mark.weights("dlib-resnet")),
    pytest.param("arcface-mbf", marks=pytest.mark.weights("arcface-mobilefacenet")),
    pytest.param("edgeface", marks=pytest.mark.weights("edgeface")),
]


@pytest.fixture(params=NAMES)
def judge(request: pytest.FixtureRequest) -> Recogniser:
    return recogniser(request.param)


def noise(count: int, size: int) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


# The chip


@pytest.mark.parametrize("layout", ["ffhq", "arcface"])
@pytest.mark.parametrize("size", [112, 512])
def test_a_chip_has_the_landmarks_where_the_recogniser_wants_them(layout: chips.Layout, size: int) -> None:
    template = chips.FFHQ if layout == "ffhq" else chips.ARCFACE
    wanted = torch.tensor(dlib_resnet.DlibResNet.chip.points)
    rows, columns = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    for (x, y), target in zip(template.points, wanted, strict=True):
        at_x, at_y = (x + 0.5) * size / template.size - 0.5, (y + 0.5) * size / template.size - 0.5
        spot = torch.exp(-((columns - at_x) ** 2 + (rows - at_y) ** 2) / (2 * (0.02 * size) ** 2))
        chip = chips.cut(spot.expand(1, 3, size, size), layout, dlib_resnet.DlibResNet.chip)[0, 0]
        grid_y, grid_x = torch.meshgrid(torch.arange(150.0), torch.arange(150.0), indexing="ij")
        centre = torch.stack([(chip * grid_x).sum(), (chip * grid_y).sum()]) / chip.sum()
        # Five points and three unknowns: what is left is how much the two mean faces differ.
        assert torch.linalg.vector_norm(centre - target) < 5


def test_a_template_is_cut_from_its_own_layout_unchanged() -> None:
    faces = noise(2, 112)
    torch.testing.assert_close(chips.cut(faces, "arcface", chips.ARCFACE), faces, atol=1e-5, rtol=0)


def test_resampling_keeps_a_ramp_and_removes_what_would_alias() -> None:
    matrix = chips.resampling_matrix(100, 20, 10.0, 80.0)
    ramp = torch.arange(100.0)
    torch.testing.assert_close(matrix @ ramp, 10 + 4 * (torch.arange(20.0) + 0.5) - 0.5)
    stripes = torch.arange(100) % 2.0
    torch.testing.assert_close(matrix @ stripes, torch.full((20,), 0.5), atol=1e-5, rtol=0)


def test_beyond_the_face_a_chip_is_black() -> None:
    matrix = chips.resampling_matrix(10, 10, 5.0, 10.0)
    torch.testing.assert_close(matrix @ torch.ones(10), torch.tensor([1.0] * 5 + [0.0] * 5))


# On photographed people


@pytest.mark.shared
@pytest.mark.parametrize("size", [128, 512])
def test_one_person_is_nearer_than_a_stranger(judge: Recogniser, shared: Path, size: int) -> None:
    people = sorted({file.name.split("_")[0] for file in (shared / "london512").glob("*.jpg")})[:6]
    neutral, smiling = (
        judge(torch.cat([picture(shared / "london512" / f"{p}_{look}.jpg", size) for p in people]))
        for look in ("neutral", "smiling")
    )
    assert judge.same(neutral, smiling).all()
    nearest_stranger = min(judge.distance(neutral, smiling.roll(shift, 0)).min() for shift in range(1, 6))
    assert judge.distance(neutral, smiling).max() < nearest_stranger


@pytest.mark.shared
def test_the_layouts_of_one_face_meet(judge: Recogniser, shared: Path) -> None:
    face = picture(sorted((shared / "london512").glob("*.jpg"))[0], 512)
    recut = chips.cut(face, "ffhq", chips.ARCFACE)
    assert judge.distance(judge(face), judge(recut, "arcface")) < judge.threshold / 2


@pytest.mark.weights("dlib-resnet")
def test_dlib_is_the_default() -> None:
    assert recogniser() is recogniser("dlib")


def test_an_unknown_recogniser_is_named() -> None:
    with pytest.raises(UnknownNameError, match="arcface-mbf"):
        recogniser("arcface")


def picture(file: Path, size: int) -> Tensor:
    with Image.open(file) as photo:
        pixels = np.asarray(photo.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


# dlib's network and its file


@pytest.mark.weights("dlib-resnet")
def test_embeddings_are_those_of_dlib() -> None:
    dlib = pytest.importorskip("dlib")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), dtype=np.uint8)
    network = dlib.face_recognition_model_v1(str(assets.path("dlib-resnet")))
    wanted = np.array([network.compute_face_descriptor(chip) for chip in pixels])
    judge = recogniser("dlib")
    found = judge.embed(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)  # type: ignore[operator]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


@pytest.mark.weights("dlib-resnet")
def test_embeddings_are_those_that_dlib_gave() -> None:
    """Where dlib is not installed: first numbers of dlib 20's descriptor of a fixed chip."""
    ramp = torch.arange(150.0) / 149
    chip = torch.stack([ramp.expand(150, 150), ramp[:, None].expand(150, 150), torch.full((150, 150), 0.4)])
    chip = (chip * 255).round() / 255
    found = recogniser("dlib").embed(chip[None])[0, :4]
    np.testing.assert_allclose(found.numpy(), DLIB_SAYS, atol=1e-5)


@pytest.mark.weights("dlib-resnet")
@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: b"PK\3\4" + data,
        lambda data: data.replace(b"affine_", b"afline_", 1),
        lambda data: data[:1000] + struct.pack("<f", float("nan")) * 2 + data[1008:],
    ],
)
def test_a_damaged_dlib_file_is_refused(harm, tmp_path: Path) -> None:
    file = tmp_path / "model.dat"
    file.write_bytes(harm(assets.path("dlib-resnet").read_bytes()))
    with pytest.raises(WeightsError, match=r"model\.dat: .*weights fetch dlib-resnet"):
        dlib_resnet.load(file)


@pytest.mark.weights("dlib-resnet")
def test_another_dlib_network_is_refused() -> None:
    layers = read_layers(assets.path("dlib-resnet").read_bytes())
    with pytest.raises(WeightsError, match="has 59"):
        dlib_resnet.DlibResNet().assign(layers[:-1])
    swapped = [layers[4], *layers[1:]]
    with pytest.raises(WeightsError, match="con"):
        dlib_resnet.DlibResNet().assign(swapped)


# The networks that ONNX files hold

ONNX = [
    pytest.param(mobilefacenet, "arcface-mobilefacenet", marks=pytest.mark.weights("arcface-mobilefacenet")),
    pytest.param(edgeface, "edgeface", marks=pytest.mark.weights("edgeface")),
]


@pytest.mark.parametrize(("module", "asset"), ONNX)
def test_embeddings_are_those_of_onnxruntime(module, asset: str) -> None:
    import onnxruntime

    faces = noise(2, 112)
    session = onnxruntime.InferenceSession(str(assets.path(asset)), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    wanted = [session.run(None, {name: (face[None] * 2 - 1).numpy()})[0][0] for face in faces]
    found = module.load().eval()(faces, "arcface")
    np.testing.assert_allclose(found.detach().numpy(), np.array(wanted), atol=1e-4)


@pytest.mark.parametrize(("module", "asset"), ONNX)
@pytest.mark.parametrize(
    "harm", [lambda data: data[:-9], lambda data: data[: len(data) // 2], lambda data: b"\xff" * 99]
)
def test_a_damaged_onnx_file_is_refused(module, asset: str, harm, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(harm(assets.path(asset).read_bytes()))
    with pytest.raises(WeightsError, match=rf"model\.onnx: .*weights fetch {asset}"):
        module.load(file)


@pytest.mark.weights("arcface-mobilefacenet", "edgeface")
def test_one_onnx_network_is_not_the_other() -> None:
    with pytest.raises(WeightsError, match="layers"):
        mobilefacenet.load(assets.path("edgeface"))
    with pytest.raises(WeightsError, match="parameters where this EdgeFace has"):
        edgeface.load(assets.path("arcface-mobilefacenet"))


@pytest.mark.weights("edgeface")
def test_edgeface_takes_every_parameter_where_it_belongs() -> None:
    nodes = read_nodes(assets.path("edgeface").read_bytes())
    network = edgeface.EdgeFace()
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_665_096
    convolutions = [place for place, node in enumerate(nodes) if node.operator == "Conv"]
    nodes[convolutions[0]], nodes[convolutions[1]] = nodes[convolutions[1]], nodes[convolutions[0]]
    with pytest.raises(WeightsError, match=r"where this EdgeFace has stem\.weight"):
        network.assign(nodes)


@pytest.mark.weights("arcface-mobilefacenet")
def test_another_onnx_network_is_refused() -> None:
    nodes = read_nodes(assets.path("arcface-mobilefacenet").read_bytes())
    with pytest.raises(WeightsError, match="layers"):
        mobilefacenet.MobileFaceNet().assign(nodes[:-1])
    with pytest.raises(WeightsError, match="Conv"):
        mobilefacenet.MobileFaceNet().assign([nodes[2], *nodes[1:]])
