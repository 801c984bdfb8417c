"""What other packages say of the generated calibration pairs: writes results/metrics_peers.yaml.

    python benchmarks/metrics_peers.py

Runs in an environment of its own, beside facefort: ``pip install --no-deps lpips pytorch-msssim piq dlib-bin`` and a
torchvision that fits the torch. A peer that cannot be imported is named and left out. lpips brings its linear weights;
its backbones come from facefort's asset, since its own would be downloaded, so that row is about the code, not about
the backbone's weights; those are torchvision's by SHA-256.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
import yaml
from metrics_calibration import SPOILT, draw
from torch import Tensor, nn

from facefort.pictures.photo import Photo
from facefort.pictures.tensors import to_batch

OUT = Path(__file__).parent / "results" / "metrics_peers.yaml"
Values = dict[str, list[float]]


def by_lpips(tests: Tensor, references: Tensor) -> Values:
    import lpips

    from facefort.models.judges.perceptual import lpips as ours

    values = {}
    for net in ("alex", "vgg"):
        peer = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
        pairs = zip(convolutions(peer.net), convolutions(ours(net).stages), strict=True)
        for theirs, known in pairs:
            theirs.load_state_dict(known.state_dict())
        values[f"lpips-{net}"] = numbers(peer(tests, references, normalize=True))
    return values


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [one for one in module.modules() if isinstance(one, nn.Conv2d)]


def by_msssim(tests: Tensor, references: Tensor) -> Values:
    import pytorch_msssim

    options = {"data_range": 1.0, "size_average": False}
    return {
        "ssim-rgb": numbers(pytorch_msssim.ssim(tests, references, **options)),
        "ms-ssim": numbers(pytorch_msssim.ms_ssim(tests, references, **options)),
    }


def by_piq(tests: Tensor, references: Tensor) -> Values:
    import piq

    return {"psnr-rgb": numbers(piq.psnr(tests.double(), references.double(), reduction="none"))}


def by_dlib(tests: Tensor, references: Tensor) -> Values:
    import dlib

    from facefort import assets
    from facefort.models.judges.chips import cut
    from facefort.models.judges.identity import recogniser

    network = dlib.face_recognition_model_v1(str(assets.path("dlib-resnet")))

    def embed(faces: Tensor) -> list[np.ndarray]:
        chips = cut(faces, "ffhq", recogniser("dlib").chip).mul(255).round().clamp(0, 255).byte()
        return [np.array(network.compute_face_descriptor(chip.permute(1, 2, 0).contiguous().numpy())) for chip in chips]

    pairs = zip(embed(tests), embed(references), strict=True)
    return {"identity-dlib": [float(np.linalg.norm(a - b)) for a, b in pairs]}


PEERS: dict[str, tuple[str, str, Callable[[Tensor, Tensor], Values]]] = {
    "lpips": ("lpips", "its own code and linear weights, the same backbone", by_lpips),
    "pytorch-msssim": ("pytorch-msssim", "", by_msssim),
    "piq": ("piq", "", by_piq),
    "dlib": ("dlib-bin", "on the same chips, rounded to 8 bits", by_dlib),
}


def numbers(values: Tensor) -> list[float]:
    return [round(float(value), 7) for value in values.flatten()]


def main() -> None:
    found = []
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        draw(Path(scratch))
        pairs = [
            to_batch([Photo.read(Path(scratch, side, f"{name}.png")).pixels for name in SPOILT])
            for side in ("test", "reference")
        ]
        for peer, (package, note, measure) in PEERS.items():
            try:
                values = measure(*pairs)
            except ImportError as error:
                print(f"{peer}: {error}")
                continue
            print(f"{peer}: {', '.join(values)}")
            entry = {
                "set": "generated",
                "peer": f"{peer} {metadata.version(package)}",
                "source": "measured by benchmarks/metrics_peers.py",
                "values": values,
                "notes": dict.fromkeys(values, note) if note else {},
            }
            found.append(entry)
    OUT.write_text(
        yaml.safe_dump(found, sort_keys=False, allow_unicode=True, default_flow_style=None), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
