"""The ArcFace networks whose weights the user brings: keys of the published checkpoints, strictness, mathematics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefort.errors import ModelError, UnsafeCheckpointError, WeightsError
from facefort.models.judges import arcface_ir_se50, arcface_resnet18

State = dict[str, Tensor]
NETWORKS = [arcface_resnet18.ArcFaceResNet18, arcface_ir_se50.ArcFaceIRSE50]


def published(network: nn.Module) -> State:
    """Weights under the published names, random, with statistics that keep the signal alive."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, value in network.state_dict().items():
        if value.ndim > 1:
            state[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
        elif key.endswith(("num_batches_tracked", "prelu.weight")):
            state[key] = value
        else:
            state[key] = 0.5 + torch.rand(value.shape, generator=generator)
    return state


@pytest.fixture(scope="module")
def resnet() -> State:
    return published(arcface_resnet18.ArcFaceResNet18())


@pytest.fixture(scope="module")
def irse() -> State:
    return published(arcface_ir_se50.ArcFaceIRSE50())


@pytest.fixture
def written(tmp_path: Path) -> Callable[[object], Path]:
    def write(tree: object) -> Path:
        torch.save(tree, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    return write


@pytest.mark.parametrize(("network", "count"), list(zip(NETWORKS, (25_627_081, 43_797_696), strict=True)))
def test_sizes_are_the_published_ones(network, count: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in network().parameters()) == count


def norm(x: Tensor, state: State, key: str) -> Tensor:
    mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{key}.weight"], state[f"{key}.bias"], eps=1e-5)


def resnet_by_hand(x: Tensor, w: State) -> Tensor:
    """The definition of ronghuaiyang/arcface-pytorch, written on the checkpoint's keys."""
    x = F.max_pool2d(F.prelu(norm(F.conv2d(x, w["conv1.weight"], padding=1), w, "bn1"), w["prelu.weight"]), 2)
    for layer in range(1, 5):
        for block in range(2):
            key = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = F.conv2d(norm(x, w, f"{key}.bn0"), w[f"{key}.conv1.weight"], padding=1)
            y = F.prelu(norm(y, w, f"{key}.bn1"), w[f"{key}.prelu.weight"])
            y = norm(F.conv2d(y, w[f"{key}.conv2.weight"], stride=stride, padding=1), w, f"{key}.bn2")
            if stride == 2:
                x = norm(F.conv2d(x, w[f"{key}.downsample.0.weight"], stride=2), w, f"{key}.downsample.1")
            x = F.prelu(x + y, w[f"{key}.prelu.weight"])
    x = norm(x, w, "bn4").reshape(len(x), -1)
    return norm(F.linear(x, w["fc5.weight"], w["fc5.bias"]), w, "bn5")


def irse_by_hand(x: Tensor, w: State) -> Tensor:
    """The definition of TreB1eN/InsightFace_Pytorch, written on the checkpoint's keys; x in [-1, 1]."""
    x = F.conv2d(x, w["input_layer.0.weight"], padding=1)
    x = F.prelu(norm(x, w, "input_layer.1"), w["input_layer.2.weight"])
    for unit in range(24):
        key = f"body.{unit}"
        stride = 2 if unit in (0, 3, 7, 21) else 1
        y = F.conv2d(norm(x, w, f"{key}.res_layer.0"), w[f"{key}.res_layer.1.weight"], padding=1)
        y = F.prelu(y, w[f"{key}.res_layer.2.weight"])
        y = norm(F.conv2d(y, w[f"{key}.res_layer.3.weight"], stride=stride, padding=1), w, f"{key}.res_layer.4")
        gate = F.relu(F.conv2d(y.mean((2, 3), keepdim=True), w[f"{key}.res_layer.5.fc1.weight"]))
        y = y * torch.sigmoid(F.conv2d(gate, w[f"{key}.res_layer.5.fc2.weight"]))
        if f"{key}.shortcut_layer.0.weight" in w:
            x = F.conv2d(x, w[f"{key}.shortcut_layer.0.weight"], stride=stride)
            x = norm(x, w, f"{key}.shortcut_layer.1") + y
        else:
            x = x[:, :, ::stride, ::stride] + y
    x = norm(x, w, "output_layer.0").reshape(len(x), -1)
    x = norm(F.linear(x, w["output_layer.3.weight"], w["output_layer.3.bias"]), w, "output_layer.4")
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True)


@torch.no_grad()
def test_resnet18_computes_what_its_definition_says(resnet: State, written) -> None:
    network = arcface_resnet18.load(written({f"module.{key}": value for key, value in resnet.items()})).eval()
    faces = torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    wanted = resnet_by_hand(faces, resnet)
    torch.testing.assert_close(network(faces), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@torch.no_grad()
def test_ir_se50_computes_what_its_definition_says(irse: State, written) -> None:
    network = arcface_ir_se50.load(written(irse)).eval()
    faces = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(faces), irse_by_hand(faces * 2 - 1, irse), rtol=1e-3, atol=1e-5)


def test_a_checkpoint_older_than_the_count_of_batches_fits(resnet: State, written) -> None:
    old = {key: value for key, value in resnet.items() if not key.endswith("num_batches_tracked")}
    arcface_resnet18.load(written(old))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "layer3.1.bn2.weight"}, r"lacks layer3\.1\.bn2\.weight"),
        (lambda w: w | {"layer1.0.se.fc.0.weight": torch.zeros(4, 64)}, r"unexpected layer1\.0\.se\.fc\.0\.weight"),
        (lambda w: w | {"conv1.weight": torch.zeros(64, 3, 3, 3)}, r"conv1\.weight is \(64, 3, 3, 3\), not"),
        (lambda w: w | {"bn5.bias": torch.full((512,), torch.nan)}, r"NaN or infinity in bn5\.bias"),
    ],
)
def test_what_does_not_fit_is_refused(resnet: State, harm, said: str, written) -> None:
    with pytest.raises(WeightsError, match=rf"weights\.pth .*{said}"):
        arcface_resnet18.load(written(harm(resnet)))


def test_nothing_in_a_checkpoint_is_run(written) -> None:
    with pytest.raises(UnsafeCheckpointError, match="nothing was run"):
        arcface_resnet18.load(written({"conv1.weight": pytest.fail}))


def test_pictures_of_another_size_are_refused() -> None:
    with torch.device("meta"):
        grey, colour = (network() for network in NETWORKS)
    with pytest.raises(ModelError, match=r"takes \(N, 1, 128, 128\)"):
        grey(torch.zeros(1, 3, 128, 128))
    with pytest.raises(ModelError, match=r"takes \(N, 3, 112, 112\)"):
        colour(torch.zeros(1, 3, 128, 128))
