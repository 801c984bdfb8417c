"""GPEN and HiFaceGAN beside implementations that nobody here wrote: largest differences on equal random weights.

    pip install --no-deps modelscope==1.40.2
    pip download --no-deps --no-build-isolation basicsr==1.4.2 && tar xzf basicsr-1.4.2.tar.gz
    PYTHONPATH=basicsr-1.4.2 python benchmarks/parity_gpen_hifacegan.py [--quick] [--only gpen]

`modelscope` carries GPEN's generator and discriminator as its authors published them, `basicsr` carries LIP-SPADE and
the discriminator of HiFaceGAN. Only the files of the networks are imported, not the packages around them. No package
carries HiFaceGAN's own generator: its row puts BasicSR's layers together in the order of the official `forward`.

A difference is the largest over all pixels, beside the largest value of the peer's output. Biases, noise weights and
affine norms are drawn too, so that every path counts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.critics import MultiscaleDiscriminator, StyleGAN2Discriminator
from facefort.models.blocks.upfirdn import upfirdn2d
from facefort.models.restorers.gpen import FullGenerator
from facefort.models.restorers.hifacegan import HiFaceGAN

Row = tuple[str, str, int, Tensor, Tensor]


def module_of(package: str, name: str) -> Any:
    """A module of an installed package, without running what the package imports at its start."""
    if package not in sys.modules:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit(f"{package} is not installed; see the head of this file")
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = list(spec.submodule_search_locations)
    root = sys.modules[package].__path__[0]
    parts = name.split(".")
    for depth in range(2, len(parts)):
        parent = ".".join(parts[:depth])
        if parent not in sys.modules:
            stub = types.ModuleType(parent)
            stub.__path__ = ["/".join([root, *parts[1:depth]])]
            sys.modules[parent] = stub
    return importlib.import_module(name)


def gpen_peer() -> Any:
    stub = "modelscope.models.cv.face_generation"
    module_of("modelscope", f"{stub}.op")
    return module_of("modelscope", "modelscope.models.cv.image_portrait_enhancement.gpen")


def shaken(network: nn.Module) -> nn.Module:
    """Biases, noise weights and scales away from zero and one."""
    for value in network.parameters():
        if value.ndim == 1 or value.shape[-2:] == (1, 1):
            nn.init.normal_(value, float(value.detach().mean()), 0.3)
    return network.eval().requires_grad_(False)


def faces(n: int, size: int, channels: int = 3) -> Tensor:
    return F.interpolate(torch.rand(n, channels, size // 4, size // 4), size=size, mode="bilinear") * 2 - 1


def resampling(peer: Any) -> Iterator[Row]:
    for up, down, pad in ((1, 1, (1, 1)), (1, 1, (2, 2)), (1, 2, (2, 2)), (2, 1, (2, 1)), (3, 2, (3, -1))):
        x, kernel = torch.randn(2, 8, 64, 64), torch.randn(4, 4)
        wanted = peer.upfirdn2d(x, kernel, up=up, down=down, pad=pad)
        yield (
            f"upfirdn2d, up {up}, down {down}, pad {pad}",
            "modelscope",
            2,
            upfirdn2d(x, kernel, up, down, pad),
            wanted,
        )


def gpen(peer: Any, quick: bool) -> Iterator[Row]:
    cases: list[tuple[int, dict[str, float], int]] = [(s, {"narrow": 0.25}, 3) for s in (8, 16, 32, 64, 128, 256)]
    cases += [(128, {"isconcat": False, "narrow": 0.25}, 2)]
    if not quick:
        cases += [(256, {"channel_multiplier": 1, "narrow": 0.5}, 1), (512, {}, 1), (512, {"narrow": 0.25}, 2)]
        cases += [(1024, {"narrow": 0.25}, 1), (2048, {"narrow": 0.125}, 1)]
    for size, options, batch in cases:
        theirs = shaken(peer.FullGenerator(size, 512, 8, **options))
        ours = FullGenerator(size, **options).eval()  # type: ignore[arg-type]
        ours.load_state_dict(theirs.state_dict(), strict=True)
        x = faces(batch, size)
        label = ", ".join(f"{key} {value:g}" for key, value in options.items())
        yield f"GPEN {size} px {label}", "modelscope", batch, ours(x)[0], theirs(x)[0]
        if size <= 256:
            # In float64: where an activation is nearly zero, rounding decides on which side of the kink it lies.
            gradients = []
            for network in (ours, theirs):
                signal = x.double().requires_grad_()
                gradients += torch.autograd.grad(network.double()(signal)[0].square().sum(), signal)
            yield f"GPEN {size} px {label}: gradient of the input, float64", "modelscope", batch, *gradients


def gpen_discriminator(peer: Any) -> Iterator[Row]:
    for size, batch in ((64, 8), (256, 4)):
        theirs = shaken(peer.Discriminator(size, narrow=0.25))
        ours = StyleGAN2Discriminator(size, narrow=0.25).eval()
        ours.load_state_dict(theirs.state_dict(), strict=True)
        x = faces(batch, size)
        yield f"GPEN's discriminator {size} px", "modelscope", batch, ours(x), theirs(x)


class OfficialHiFaceGAN(nn.Module):
    """HiFaceGAN's generator out of BasicSR's layers: the order is that of the official `HiFaceGANGenerator.forward`."""

    def __init__(self, layers: Any, ngf: int, norm: str) -> None:
        super().__init__()
        kind = f"spectralspade{norm}3x3"
        self.fc = nn.Conv2d(3, 16 * ngf, 3, padding=1)
        self.head_0, self.G_middle_0, self.G_middle_1 = (
            layers.SPADEResnetBlock(16 * ngf, 16 * ngf, kind, 16 * ngf) for _ in range(3)
        )
        self.ups = nn.ModuleList(
            layers.SPADEResnetBlock(2 * width * ngf, width * ngf, kind, width * ngf) for width in (8, 4, 2, 1)
        )
        self.to_rgbs = nn.ModuleList(nn.Conv2d(width * ngf, 3, 3, padding=1) for width in (8, 4, 2, 1))
        row = layers.LIPEncoder(3, ngf, 4, 4, 5).model
        self.encoder = nn.Module()
        self.encoder.head = row[:3]
        for level in range(5):
            self.encoder.add_module(f"encoder_{level}", nn.Sequential(*row[3 + 4 * level : 7 + 4 * level]))

    def forward(self, x: Tensor) -> Tensor:
        features = [self.encoder.head(x)]
        for level in range(5):
            features = [self.encoder.get_submodule(f"encoder_{level}")(features[0]), *features]
        out = self.fc(F.interpolate(x, size=(x.shape[2] // 32, x.shape[3] // 32)))
        up = nn.Upsample(scale_factor=2)
        out = up(self.head_0(out, features[0]))
        out = self.G_middle_1(self.G_middle_0(out, features[1]), features[1])
        for block, feature in zip(self.ups, features[2:], strict=True):
            out = block(up(out), feature)
        return torch.tanh(self.to_rgbs[3](F.leaky_relu(out, 0.2)))


def hifacegan_peer() -> Any:
    module_of("basicsr", "basicsr.utils.registry")
    return module_of("basicsr", "basicsr.archs.hifacegan_arch")


def hifacegan(quick: bool) -> Iterator[Row]:
    arch = hifacegan_peer()
    layers = module_of("basicsr", "basicsr.archs.hifacegan_util")
    cases = [("lipspade", 8, 128, 2), ("hifacegan", 8, 128, 2), ("hifacegan", 8, 256, 2)]
    if not quick:
        cases += [(variant, ngf, 512, 1) for variant in ("lipspade", "hifacegan") for ngf in (48, 64)]
    for variant, ngf, size, batch in cases:
        for norm in ("batch", "instance"):
            with contextlib.redirect_stdout(io.StringIO()):
                if variant == "lipspade":
                    theirs = arch.HiFaceGAN(3, ngf, crop_size=size, norm_g=f"spectralspade{norm}3x3", is_train=False)
                else:
                    theirs = OfficialHiFaceGAN(layers, ngf, norm)
            naming = "basicsr" if variant == "lipspade" else "official"
            ours = HiFaceGAN(ngf, variant, norm, naming).requires_grad_(False)  # type: ignore[arg-type]
            x = faces(batch, size)
            shaken(theirs)
            for head in theirs.to_rgbs:
                head.weight.mul_(8)  # fresh weights make a nearly grey picture
            theirs.train()
            for _ in range(3):
                theirs(faces(2, 128))  # settles the power iteration, as in trained weights
            for mode in ("training", "evaluation") if size < 512 else ("evaluation",):
                theirs.train(mode == "training")
                ours.train(mode == "training")
                ours.load_state_dict(theirs.state_dict(), strict=True)
                if mode == "evaluation" and norm == "batch" and not ours.calibrated:
                    ours.calibrate([x])
                    theirs.load_state_dict(ours.state_dict(), strict=True)
                label = f"{variant} {size} px, ngf {ngf}, {norm} norm, {mode}"
                yield label, "basicsr", batch, ours(x)[0], theirs(x)
            if size < 512:
                # What is left in float64 tells rounding from error: norms over few pixels amplify the former.
                exact = x.double()
                yield f"{label}, float64", "basicsr", batch, ours.double()(exact)[0], theirs.double()(exact)


def hifacegan_discriminator() -> Iterator[Row]:
    arch = hifacegan_peer()
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = shaken(arch.HiFaceGANDiscriminator())
    ours = MultiscaleDiscriminator().eval().requires_grad_(False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = faces(2, 256, 6)
    for scale, (a, b) in enumerate(zip(ours(x), theirs(x), strict=True)):
        yield f"HiFaceGAN's discriminator, scale {scale}", "basicsr", 2, a[-1], b[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small networks only")
    parser.add_argument("--only", choices=("gpen", "hifacegan"), help="one of the two")
    given = parser.parse_args()
    torch.manual_seed(0)
    parts: list[Iterator[Row]] = []
    if given.only != "hifacegan":
        peer = gpen_peer()
        parts += [resampling(peer), gpen(peer, given.quick), gpen_discriminator(peer)]
    if given.only != "gpen":
        parts += [hifacegan(given.quick), hifacegan_discriminator()]
    print("| what | peer | batch | largest difference | largest value |\n|---|---|---|---|---|")
    for rows in parts:
        for what, beside, batch, ours, theirs in rows:
            difference = float((ours - theirs).detach().abs().max())
            print(f"| {what} | {beside} | {batch} | {difference:.1e} | {float(theirs.abs().max()):.2g} |", flush=True)


if __name__ == "__main__":
    main()
