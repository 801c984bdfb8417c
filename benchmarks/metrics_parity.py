"""The metrics' values beside those of the packages that people use, on pictures that anybody can draw again.

    python benchmarks/metrics_parity.py

Two pairs of 192 px drawn from a seed, and the five pairs of TID2013 on which the metrics' own authors' values are known
(`facefort weights fetch tid2013-calibration`; pyiqa's ResultsCalibra/results_official.csv lists the values).

Peers that need torchvision (`lpips` 0.1.4, `DISTS-pytorch` 0.1) are given the weights of facefort's own assets, which
are torchvision's, because they would download them otherwise. Beside a CPU build of torch, torchvision needs two
operators declared before its import. The values in tests/metrics/test_learned.py were made here.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from facefort.assets import is_present, path
from facefort.metrics import metric
from facefort.models.judges.perceptual import lpips as own_lpips

OFFICIAL = {
    "niqe": (15.7536293917814, 3.65492152353770, 3.23547743716998, 3.18403333858339, 8.63519663862637),
    "brisque": (94.6421, -0.107618, 0.992889, 5.35827, 72.2617),
    "lpips-alex": (0.7237, 0.2572, 0.05079, 0.05205, 0.4253),
    "dists": (0.4742, 0.1424, 0.06825, 0.02867, 0.3123),
    "psnr-rgb": (21.11, 20.99, 27.01, 23.30, 21.62),
}
NAMES = ("I03", "I04", "I06", "I08", "I19")


def drawn_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of patches of three sizes and a noisy copy, 8 bits, (192, 192, 3)."""
    rng = np.random.default_rng(seed)
    layers = [np.kron(rng.integers(0, 256, (192 // n, 192 // n, 3)), np.ones((n, n, 1), int)) for n in (48, 12, 2)]
    clean = (3 * layers[0] + 2 * layers[1] + layers[2]) // 6
    spoilt = (clean + rng.integers(-30, 31, clean.shape)).clip(0, 255)
    return spoilt.astype(np.uint8), clean.astype(np.uint8)


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def import_torchvision() -> types.ModuleType:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    return torchvision


def give_weights(network: nn.Module, net: str) -> None:
    """Copy the convolutions of facefort's LPIPS into a peer's backbone."""
    theirs, ours = (
        [m for m in module.modules() if isinstance(m, nn.Conv2d)] for module in (network, own_lpips(net).stages)
    )
    for one, other in zip(theirs, ours, strict=True):
        one.load_state_dict(other.state_dict())


def peer_lpips(net: str) -> Callable[[Tensor, Tensor], float]:
    import lpips

    peer = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    give_weights(peer.net, net)
    return lambda x, y: peer(x, y).item()


def peer_dists() -> Callable[[Tensor, Tensor], float]:
    import DISTS_pytorch
    import torchvision

    vgg = torchvision.models.vgg16(weights=None)
    give_weights(vgg.features, "vgg")
    torchvision.models.vgg16 = lambda **_: vgg
    peer = DISTS_pytorch.DISTS(load_weights=False)
    weights = torch.load(Path(DISTS_pytorch.__file__).parent / "weights.pt", weights_only=True)
    peer.alpha.data, peer.beta.data = weights["alpha"], weights["beta"]
    return lambda x, y: peer.eval()(x, y).item()


def corrected_by_vqfr(pixels: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Steps of VQFR's metric_paper/calculate_psnr_ssim.py, in float64."""
    found = pixels / 255
    for channel in range(3):
        goal = clean[..., channel] / 255
        for _ in range(2):
            found[..., channel] += goal.mean() - found[..., channel].mean()
            found[..., channel] *= goal.std() / found[..., channel].std()
    return found


def peers() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    import pytorch_msssim

    import_torchvision()
    distances = {"alex": peer_lpips("alex"), "vgg": peer_lpips("vgg"), "dists": peer_dists()}

    def skimage_ssim(x: np.ndarray, y: np.ndarray) -> float:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        return structural_similarity(x, y, channel_axis=2, full=True, **options)[1][5:-5, 5:-5].mean()

    def of_tensors(compute: Callable[[Tensor, Tensor], float]) -> Callable[[np.ndarray, np.ndarray], float]:
        return lambda x, y: compute(tensor(x), tensor(y))

    return {
        "psnr-rgb": lambda x, y: peak_signal_noise_ratio(y, x),
        "psnr-mvc": lambda x, y: peak_signal_noise_ratio(y / 255, corrected_by_vqfr(x, y), data_range=1),
        "ssim-rgb": lambda x, y: skimage_ssim(x / 255, y / 255),
        "ssim-mvc": lambda x, y: skimage_ssim(corrected_by_vqfr(x, y), y / 255),
        "ms-ssim": of_tensors(lambda x, y: pytorch_msssim.ms_ssim(x.double(), y.double(), data_range=1).item()),
        "lpips-alex": of_tensors(lambda x, y: distances["alex"](2 * x - 1, 2 * y - 1)),
        "lpips-vgg": of_tensors(lambda x, y: distances["vgg"](2 * x - 1, 2 * y - 1)),
        "lpips-rf": of_tensors(lambda x, y: distances["vgg"]((2 * x - 1).flip(1), (2 * y - 1).flip(1))),
        "lpips-rf-unit": of_tensors(lambda x, y: distances["vgg"](x.flip(1), y.flip(1))),
        "dists": of_tensors(distances["dists"]),
    }


def print_drawn() -> None:
    print("| metric | seed | peer | facefort | difference |\n|---|---|---|---|---|")
    for name, peer in peers().items():
        for seed in (0, 1):
            spoilt, clean = drawn_pair(seed)
            theirs, ours = peer(spoilt, clean), metric(name)(tensor(spoilt), tensor(clean)).item()
            print(f"| {name} | {seed} | {theirs:.7f} | {ours:.7f} | {ours - theirs:+.1e} |")


def print_calibration() -> None:
    if not is_present("tid2013-calibration"):
        print("tid2013-calibration is not fetched", file=sys.stderr)
        return
    print("\n| metric | picture | authors | facefort | difference | in % |\n|---|---|---|---|---|---|")
    for name, official in OFFICIAL.items():
        measure = metric(name)
        for picture, theirs in zip(NAMES, official, strict=True):
            files = (path("tid2013-calibration", f"{part}-{picture}.bmp") for part in ("dist", "ref"))
            pair = [tensor(np.asarray(Image.open(file).convert("RGB"))) for file in files]
            ours = measure(*pair[: 1 + measure.needs_reference]).item()
            change = 100 * (ours / theirs - 1)
            print(f"| {name} | {picture} | {theirs:.6g} | {ours:.6g} | {ours - theirs:+.1e} | {change:+.3f} |")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with torch.no_grad():
        print_drawn()
        print_calibration()
