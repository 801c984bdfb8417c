"""The restorers here against code that nobody here wrote: same random weights, same picture, largest differences.

    pip install --no-deps codeformer-pip==0.0.4 gfpgan==1.3.8 basicsr==1.4.2
    python benchmarks/parity_with_peers.py [--only codeformer restoreformer gfpgan]

Those packages carry the authors' own network files. They are imported file by file, past the packages' own start-up,
so that neither torchvision nor anything else has to be installed. Everything runs in float32 on one thread; weights go
across with ``strict=True``, so that the names of the parameters are compared too. Gradients of the mean square of the
output with respect to the input are compared where the official code has any. Exits with 1 if a difference exceeds
1e-4 of the largest value.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from facefort.models.blocks.critics import VQGANDiscriminator
from facefort.models.blocks.vqgan import VQAutoEncoder
from facefort.models.restorers.codeformer import CodeFormer
from facefort.models.restorers.gfpgan import GFPGANv1Clean
from facefort.models.restorers.restoreformer import RestoreFormer

LIMIT = 1e-4
Row = tuple[str, str, float, float]  # what, setting, largest difference, largest value


def peer(module: str) -> types.ModuleType:
    """Import a module without running the ``__init__`` of the packages that it lies in."""
    parts = module.split(".")
    spec = importlib.machinery.PathFinder.find_spec(parts[0])
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{parts[0]} is not installed; see the head of this file")
    folder = Path(spec.submodule_search_locations[0])
    for i in range(1, len(parts)):
        name = ".".join(parts[:i])
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*parts[1:i]))]
            sys.modules[name] = package
    return importlib.import_module(module)


def prepare() -> None:
    """Stand-ins for the helpers that the peers' network files import and do not need."""
    for root in ("codeformer.basicsr", "basicsr"):
        peer(f"{root}.utils.registry")
        sys.modules[f"{root}.utils"].get_root_logger = lambda *_: None
    util = types.ModuleType("basicsr.archs.arch_util")
    util.default_init_weights = lambda *_, **__: None
    sys.modules["basicsr.archs.arch_util"] = util


def shared(ours: nn.Module, theirs: nn.Module) -> None:
    """Random weights in both networks, the same ones; every name must be known to both.

    They are scaled so that features stay of the size of one and the picture about in [-1, 1], as in trained networks.
    """
    generator = torch.Generator().manual_seed(0)
    last = [name for name, value in ours.named_parameters() if value.ndim == 4 and len(value) == 3]
    for name, value in ours.named_parameters():
        centre, spread = 0.0, 0.1
        if name.endswith("embedding.weight"):
            spread = 1.0
        elif value.ndim == 1 and name.endswith("weight"):
            centre = 1.0
        elif value.ndim > 1 and "position_emb" not in name:
            spread = value[0].numel() ** -0.5 * (0.25 if name in last or "fuse_convs" in name else 1.0)
        value.data = torch.randn(value.shape, generator=generator) * spread + centre
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval()
    theirs.eval()


def picture(size: int) -> Tensor:
    """A smooth random picture in [-1, 1] with some noise on it."""
    generator = torch.Generator().manual_seed(1)
    smooth = torch.nn.functional.interpolate(torch.randn(1, 3, 8, 8, generator=generator), size, mode="bicubic")
    return (smooth * 0.5 + 0.1 * torch.randn(1, 3, size, size, generator=generator)).clamp(-1, 1)


def compare(what: str, setting: str, ours: Tensor, theirs: Tensor) -> Row:
    return what, setting, float((ours - theirs).abs().max()), float(theirs.abs().max())


def gradient(call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(call(x).square().mean(), x)[0]


def codeformer() -> Iterator[Row]:
    ours = CodeFormer(grad_mode="official", fix_modules=("quantize", "generator"))
    theirs = peer("codeformer.basicsr.archs.codeformer_arch").CodeFormer()
    shared(ours, theirs)
    x = picture(512)
    for w, adain in ((0, False), (0.5, True), (1, False), (1, True)):
        with torch.no_grad():
            pairs = zip(ours(x, w=w, adain=adain), theirs(x, w=w, adain=adain), strict=True)
        for name, (a, b) in zip(("picture", "logits", "feature"), pairs, strict=True):
            if name == "picture" or (w, adain) == (0, False):
                yield compare("CodeFormer 512", f"{name}, w {w}, adain {adain}", a, b)
    pair = (gradient(lambda z, net=net: net(z, w=0.5, adain=True)[0], x) for net in (ours, theirs))
    yield compare("CodeFormer 512", "input gradient, official, w 0.5, adain True", *pair)


def autoencoder() -> Iterator[Row]:
    module = peer("codeformer.basicsr.archs.vqgan_arch")
    ours, theirs = VQAutoEncoder(), module.VQAutoEncoder(512, 64, [1, 2, 2, 4, 4, 8])
    shared(ours, theirs)
    x = picture(256)
    with torch.no_grad():
        (a, loss, found), (b, their_loss, stats) = ours(x), theirs(x)
    yield compare("VQ auto-encoder 256", "picture", a, b)
    yield compare("VQ auto-encoder 256", "codebook loss", loss, their_loss)
    yield compare("VQ auto-encoder 256", "perplexity", found.perplexity, stats["perplexity"])
    judge, their_judge = VQGANDiscriminator(), module.VQGANDiscriminator()
    shared(judge, their_judge)
    with torch.no_grad():
        yield compare("PatchGAN 256", "logits", judge(x), their_judge(x))


def restoreformer() -> Iterator[Row]:
    module = peer("gfpgan.archs.restoreformer_arch")
    ours = RestoreFormer()
    with contextlib.redirect_stdout(None):
        theirs = module.RestoreFormer(ch=64, ch_mult=(1, 2, 2, 4, 4, 8), attn_resolutions=(16,), head_size=8)
    shared(ours, theirs)
    for size in (256, 512):
        x = picture(size)
        with torch.no_grad():
            a, loss, found, hs = ours(x)
            codes, their_loss, info, their_hs = theirs.encode(x)  # its forward pass returns the picture alone
            b = theirs.decode(codes, their_hs)
        yield compare(f"RestoreFormer {size}", "picture", a, b)
        yield compare(f"RestoreFormer {size}", "codebook loss", loss, their_loss)
        yield compare(f"RestoreFormer {size}", "perplexity", found.perplexity, info[0])
        assert list(hs) == list(their_hs)
        worst = max(hs, key=lambda name: float((hs[name] - their_hs[name]).abs().max()))
        yield compare(f"RestoreFormer {size}", f"features (worst: {worst})", hs[worst], their_hs[worst])
    pair = (gradient(lambda z, net=net: net(z)[0], picture(256)) for net in (ours, theirs))
    yield compare("RestoreFormer 256", "input gradient", *pair)


def gfpgan() -> Iterator[Row]:
    module = peer("gfpgan.archs.gfpganv1_clean_arch")
    for size, multiplier in ((256, 1), (512, 2)):
        ours = GFPGANv1Clean(size, channel_multiplier=multiplier)
        theirs = module.GFPGANv1Clean(
            size,
            channel_multiplier=multiplier,
            fix_decoder=False,
            input_is_latent=True,
            different_w=True,
            sft_half=True,
        )
        shared(ours, theirs)
        x = picture(size)
        with torch.no_grad():
            (a, pictures), (b, others) = ours(x), theirs(x, randomize_noise=False)
        yield compare(f"GFP-GAN {size}, multiplier {multiplier}", "picture", a, b)
        worst = [compare("", f"{p.shape[-1]} px", p, q) for p, q in zip(pictures, others, strict=True)]
        _, which, difference, largest = max(worst, key=lambda row: row[2])
        yield f"GFP-GAN {size}, multiplier {multiplier}", f"pyramid (worst: {which})", difference, largest


PARTS = {"codeformer": codeformer, "autoencoder": autoencoder, "restoreformer": restoreformer, "gfpgan": gfpgan}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    prepare()
    print(f"torch {torch.__version__}, float32, one thread\n")
    print("| network | what | largest difference | largest value |\n|---|---|---|---|")
    good = True
    for name in options.only:
        for what, setting, difference, largest in PARTS[name]():
            print(f"| {what} | {setting} | {difference:.1e} | {largest:.3g} |", flush=True)
            good &= difference <= LIMIT * max(1.0, largest)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
