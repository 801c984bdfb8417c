"""VQFR v1 and v2 and their codebook models beside the official code, on the same random weights and pictures.

    python benchmarks/parity_vqfr.py peer FOLDER [--double] [--only NAME]
    python benchmarks/parity_vqfr.py compare FOLDER [--double] [--only NAME]

The first command needs the official `vqfr` and torchvision, runs the official classes and stores what they return; the
second needs facefort and prints the largest differences. The two need not share an environment.
With --double both compute in float64, which tells a difference of rounding from one of meaning.
Weights and pictures are drawn from the names of the parameters, so that nothing but results travels. Official code:
TencentARC/VQFR, installed with its requirements (basicsr, einops, scikit-learn, timm, torchvision from 0.9).
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Network, height, width, arguments of forward: every kind of size that the official classes take.
CASES: list[tuple[str, int, int, dict[str, Any]]] = [
    ("vqfr_v1", 64, 64, {}),
    ("vqfr_v2", 64, 64, {"fidelity_ratio": 0.5}),
    ("vqgan_v1", 128, 128, {}),
    ("vqgan_v2", 128, 128, {}),
    ("vqfr_v1", 96, 160, {}),
    ("vqfr_v1", 256, 256, {}),
    ("vqfr_v1", 512, 512, {}),
    ("vqfr_v2", 96, 160, {"fidelity_ratio": 1.0}),
    ("vqfr_v2", 256, 256, {"fidelity_ratio": 1.0}),
    ("vqfr_v2", 512, 512, {"fidelity_ratio": 0.0}),
    ("vqfr_v2", 512, 512, {"fidelity_ratio": 0.1}),
    ("vqfr_v2", 512, 512, {"fidelity_ratio": 1.0}),
]
GRADIENT_UP_TO = 160  # px; above, only values are compared


def draw(network: nn.Module) -> None:
    """Weights that depend on their names alone, of a size that keeps features near one and offsets at some pixels."""
    for name, value in network.state_dict().items():
        normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(value.shape, np.float32)
        if name.endswith("bias"):
            numbers = 0.1 * normal
        elif value.ndim == 1:
            numbers = 1 + 0.1 * normal
        elif "embedding" in name:
            numbers = normal
        else:
            numbers = normal / np.sqrt(value[0].numel(), dtype=np.float32)
        value.copy_(torch.from_numpy(numbers))


def picture(height: int, width: int) -> Tensor:
    """A smooth picture with noise, in [-1, 1]."""
    numbers = np.random.default_rng(height * 10_000 + width)
    rows, columns = np.mgrid[0:height, 0:width] / 64
    waves = np.stack([np.sin(rows * k + columns / k) for k in (1, 2, 3)]).astype(np.float32)
    noise = numbers.standard_normal((3, height, width)).astype(np.float32)
    return torch.from_numpy(np.clip(0.7 * waves + 0.1 * noise, -1, 1))[None]


def official(name: str, height: int, width: int) -> nn.Module:
    """The official class in the published configuration."""
    from vqfr.archs import vqfrv1_arch, vqfrv2_arch, vqganv1_arch, vqganv2_arch

    codes = {"num_code": 1024, "code_dim": 256}
    if name.endswith("v1"):
        k_means = {"in_dim": 512, "reservoir_size": 1, "reestimate_iters": 1}
        k_means |= {"type": "L2VectorQuantizerKmeans", "reestimate_maxiters": -1, "warmup_iters": -1}
        options: dict[str, Any] = {
            "base_channels": 128,
            "proj_patch_size": 32,
            "resolution_scale_rates": [1, 2, 2, 2, 2, 2],
            "channel_multipliers": [1, 1, 2, 2, 2, 4],
            "encoder_num_blocks": 2,
            "decoder_num_blocks": 3,
            "quant_level": ["Level_32"],
            "quantizer_opt": {"Level_32": k_means | codes},
        }
        if name == "vqgan_v1":
            return vqganv1_arch.VQGANv1(**options)
        return vqfrv1_arch.VQFRv1(
            **options,
            inpfeat_extraction_opt={"in_dim": 3, "out_dim": 32},
            align_from_patch=32,
            align_opt={
                f"Level_{f}": {"cond_channels": 32, "cond_downscale_rate": f, "deformable_groups": 4}
                for f in (32, 16, 8, 4, 2, 1)
            },
        )
    options = {
        "base_channels": 64,
        "channel_multipliers": [1, 2, 2, 4, 4, 8],
        "num_enc_blocks": 2,
        "use_enc_attention": True,
        "num_dec_blocks": 2,
        "use_dec_attention": True,
        "code_dim": 256,
        "quantizer_opt": {"type": "L2VectorQuantizer", "spatial_size": [height // 32, width // 32], **codes},
    }
    if name == "vqgan_v2":
        return vqganv2_arch.VQGANv2(**options)
    align = {"cond_channels": 32, "deformable_groups": 4}
    return vqfrv2_arch.VQFRv2(**options, inpfeat_dim=32, code_selection_mode="Predict", align_opt=align)


def ours(name: str, height: int, width: int) -> nn.Module:
    """The class here, with the official gradients."""
    from facefort.models.restorers import vqfr, vqfr_v2

    classes = {"vqgan_v1": vqfr.VQGANv1, "vqfr_v1": vqfr.VQFRv1, "vqgan_v2": vqfr_v2.VQGANv2, "vqfr_v2": vqfr_v2.VQFRv2}
    return classes[name](**({"grad_mode": "official"} if name == "vqfr_v2" else {}))


def results(network: nn.Module, height: int, width: int, arguments: dict[str, Any]) -> dict[str, Tensor]:
    """Everything that a network returns, flat, and for small pictures the gradient of the restored one."""
    draw(network)
    x = picture(height, width).to(next(network.parameters()).dtype).requires_grad_(max(height, width) <= GRADIENT_UP_TO)
    with torch.set_grad_enabled(x.requires_grad):
        if any("main_" in name for name, _ in network.named_parameters()):
            keys = {} if "fidelity_ratio" in arguments else {"return_keys": ("dec", "feat_dict")}
            found = network(x, **keys, **arguments)
        else:
            found, loss = network(x)
            found = {**found, "loss": loss}
    flat = dict(flatten(found))
    if x.requires_grad:
        (gradient,) = torch.autograd.grad(flat["main_dec" if "main_dec" in flat else "dec"].square().mean(), x)
        flat["gradient"] = gradient / gradient.abs().max()
    return {key: value.detach() for key, value in flat.items()}


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested dictionaries by their last name."""
    if isinstance(tree, Tensor):
        yield prefix, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from flatten(value, key)


def cases(only: str) -> Iterator[tuple[str, tuple[str, int, int, dict[str, Any]]]]:
    for case in CASES:
        name, height, width, arguments = case
        title = "-".join([name, f"{height}x{width}", *(f"{value}" for value in arguments.values())])
        if only in title:
            yield title, case


def peer(folder: Path, dtype: torch.dtype, only: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for title, (name, height, width, arguments) in cases(only):
        if (folder / f"{title}.npz").exists():
            continue
        network = official(name, height, width).eval().to(dtype)
        found = results(network, height, width, arguments)
        found["parameters"] = torch.tensor(sum(p.numel() for p in network.parameters()))
        np.savez(folder / f"{title}.npz", **{key: value.numpy() for key, value in found.items()})
        print(title, flush=True)


def compare(folder: Path, dtype: torch.dtype, only: str) -> None:
    print("| network | size | arguments | parameters | result | largest value | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for title, (name, height, width, arguments) in cases(only):
        file = folder / f"{title}.npz"
        if not file.exists():
            continue
        wanted = {key: torch.from_numpy(value) for key, value in np.load(file).items()}
        network = ours(name, height, width).eval().to(dtype)
        parameters = sum(p.numel() for p in network.parameters())
        found = results(network, height, width, arguments)
        assert parameters == wanted.pop("parameters"), title
        assert found.keys() == wanted.keys(), (title, found.keys(), wanted.keys())
        told = ", ".join(f"{key} {value}" for key, value in arguments.items())
        for key, value in wanted.items():
            difference = (found[key].double() - value.double()).abs().max().item()
            most = value.double().abs().max().item()
            row = f"{name} | {height} x {width} | {told} | {parameters:,} | {key} | {most:.2f} | {difference:.1e}"
            print(f"| {row} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["peer", "compare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = torch.float64 if options.double else torch.float32
    {"peer": peer, "compare": compare}[options.what](options.folder, dtype, options.only)


if __name__ == "__main__":
    main()
