"""CodeFormer: a transformer predicts codes of high-quality faces, a generator draws them, the input's features mix in.

Zhou et al., "Towards Robust Blind Face Restoration with Codebook Lookup Transformer", NeurIPS 2022. Networks see RGB
in [-1, 1]; the output may leave that range a little.

**Gradients.** In the official code the picture has no gradient to the input, or, with AdaIN (its default in use), one
that flows only through the means and deviations of the encoder's last feature: the codes are a top-1 look-up without
straight-through, and the encoder's features are detached before they mix in. An attack on that finds a robustness that
is not there. So gradients are a choice here, and the official one has to be asked for:

========== ============================================================ =====================
grad_mode  gradient of the codes                                        features that mix in
========== ============================================================ =====================
official   none                                                         detached
ste        straight through to the encoder's last feature               whole
soft       of the softmax-weighted mixture of codes: trains transformer whole
========== ============================================================ =====================

Values are the same in all three. ``detach_skip`` overrides the last column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.vq import (
    ResBlock,
    adain,
    check_grad_mode,
    in_float32,
    mixture,
    norm_groups,
    with_gradient_of,
)
from facefort.models.blocks.vqgan import VQAutoEncoder, code_losses, read_options
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward layer; the position is added to queries and keys only."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """(N, T, D) and (T, D) -> (N, T, D)."""
        h = self.norm1(x)
        asking = h + position
        x = x + self.self_attn(asking, asking, h, need_weights=False)[0]
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class ControllableFusion(nn.Module):
    """Scale and shift the generator's feature by the encoder's, as much as ``w`` says (section 3.3)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.encode_enc = ResBlock(2 * channels, channels, groups)
        self.scale = _branch(channels)
        self.shift = _branch(channels)

    def forward(self, encoded: Tensor, decoded: Tensor, w: float) -> Tensor:
        """Two maps (N, C, H, W) -> (N, C, H, W)."""
        h = self.encode_enc(torch.cat([encoded, decoded.to(encoded.dtype)], 1))
        return decoded + w * torch.addcmul(self.shift(h), decoded.to(h.dtype), self.scale(h))


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, 1, 1), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(channels, channels, 3, 1, 1)
    )


class CodeFormer(VQAutoEncoder):
    """CodeFormer; the published configuration is the default.

    Args:
        out_size: side of the face.
        nf: channels at full resolution.
        ch_mult: channels per level relative to ``nf``, from fine to coarse; one code stands for
            ``2 ** (len(ch_mult) - 1)`` pixels in each direction.
        res_blocks: residual blocks per level.
        attn_resolutions: sides of the levels with attention; by default the side of the map of codes.
        codebook_size: number of codes.
        emb_dim: width of a code.
        dim_embd: width of the transformer.
        n_head: its heads.
        n_layers: its layers.
        connect_list: sides of the levels at which the encoder's features may mix in; by default all between the map
            of codes and the picture (32 to 256 at 512 px).
        fix_modules: parts whose weights are frozen; the official code freezes "quantize" and "generator".
        grad_mode: "official", "ste" or "soft", see the module's text; also an attribute.
        detach_skip: detach the encoder's features before they mix in; None: in "official" only; also an attribute.
        temperature: of the softmax in "soft"; also an attribute.
        w: what :class:`~facefort.models.restorer.Restorer` calls the network with, from 0 (quality) to 1 (fidelity);
            also an attribute. 0.5 as in the official programs.
        adain: likewise; True as in the official programs.
        input_fusion: mix the picture with the input at full resolution (:class:`InputFusion`; not in the paper).
        input_floor: least share of the input in that mix.
    """

    def __init__(
        self,
        out_size: int = 512,
        nf: int = 64,
        ch_mult: Sequence[int] = (1, 2, 2, 4, 4, 8),
        res_blocks: int = 2,
        attn_resolutions: Sequence[int] | None = None,
        codebook_size: int = 1024,
        emb_dim: int = 256,
        dim_embd: int = 512,
        n_head: int = 8,
        n_layers: int = 9,
        connect_list: Sequence[int | str] | None = None,
        fix_modules: Sequence[str] = (),
        grad_mode: str = "soft",
        detach_skip: bool | None = None,
        temperature: float = 1.0,
        w: float = 0.5,
        adain: bool = True,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__(out_size, nf, ch_mult, res_blocks, attn_resolutions, codebook_size, emb_dim)
        self.grad_mode = check_grad_mode(grad_mode)
        self.detach_skip, self.temperature, self.w, self.adain = detach_skip, temperature, w, adain
        sides = [out_size >> level for level in range(self.levels)]
        connected = sides[-2:0:-1] if connect_list is None else [int(side) for side in connect_list]
        if not set(connected) <= set(sides):
            raise ValueError(f"connect_list holds sides out of {', '.join(map(str, sides))}, not {connected}")

        self.position_emb = nn.Parameter(torch.zeros(self.codes_per_side**2, dim_embd))
        self.feat_emb = nn.Linear(emb_dim, dim_embd)
        self.ft_layers = nn.ModuleList(TransformerLayer(dim_embd, n_head, 2 * dim_embd) for _ in range(n_layers))
        self.idx_pred_layer = nn.Sequential(nn.LayerNorm(dim_embd), nn.Linear(dim_embd, codebook_size, bias=False))
        groups = norm_groups(nf * min(ch_mult))
        levels = {side: sides.index(side) for side in connected}
        self.fuse_convs_dict = nn.ModuleDict(
            {str(side): ControllableFusion(nf * ch_mult[level], groups) for side, level in levels.items()}
        )
        self._encoder_taps = {self.encoder.taps[level]: str(side) for side, level in levels.items()}
        self._generator_taps = {self.generator.taps[level]: str(side) for side, level in levels.items()}
        parts = dict(self.named_children())
        if not set(fix_modules) <= set(parts):
            raise ValueError(f"fix_modules holds names out of {', '.join(parts)}, not {list(fix_modules)}")
        for name in fix_modules:
            parts[name].requires_grad_(False)
        self.input_fusion = InputFusion(nf * ch_mult[0], floor=input_floor) if input_fusion else None

    def forward(  # type: ignore[override]
        self, x: Tensor, w: float = 0, detach_16: bool = True, code_only: bool = False, adain: bool = False
    ) -> tuple[Tensor, Tensor, Tensor] | tuple[Tensor, Tensor]:
        """Restore a batch; arguments and defaults are the official ones.

        Args:
            x: (N, 3, S, S) in [-1, 1].
            w: how much of the input's features mixes in; up to 0, none.
            detach_16: in ``grad_mode`` "official", also cut the codes off from the codebook.
            code_only: stop after the codes are predicted (second stage of the training).
            adain: give the codes the statistics of the encoder's last feature.

        Returns:
            Picture (N, 3, S, S), logits of the codes (N, T, K), the encoder's last feature (N, C, s, s); the last two
            alone with ``code_only``.
        """
        feature, skips = self._encode(x, keep=w > 0 and not code_only)
        logits = self.predict(feature)
        if code_only:
            return logits, feature
        codes = self._look_up(logits, feature, detach_16)
        if adain:
            codes = _adain(codes, feature)
        return self._generate(codes, skips, w, x), logits, feature

    def _encode(self, x: Tensor, keep: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Last feature, and the features that are to mix in."""
        skips = {}
        for i, block in enumerate(self.encoder.blocks):
            x = block(x)
            if keep and i in self._encoder_taps:
                skips[self._encoder_taps[i]] = x
        return x, skips

    def predict(self, feature: Tensor) -> Tensor:
        """Logits of the codes (N, T, K) from the encoder's last feature (N, C, s, s).

        In float32 whatever the precision: it costs a hundredth of the whole, and a wrong code is a wrong patch.
        """
        with in_float32(feature):
            tokens = self.feat_emb(feature.float().flatten(2).transpose(1, 2))
            for layer in self.ft_layers:
                tokens = layer(tokens, self.position_emb)
            logits: Tensor = self.idx_pred_layer(tokens)
        return logits

    def _look_up(self, logits: Tensor, feature: Tensor, detach_16: bool) -> Tensor:
        """Codes (N, C, s, s) of the best logits, with the gradient that :attr:`grad_mode` says."""
        shape = (len(feature), *feature.shape[2:], -1)
        codes = self.quantize.look_up(logits.argmax(-1).view(shape[:3]))
        if self.grad_mode == "official":
            return codes.detach() if detach_16 else codes
        if self.grad_mode == "ste":
            return with_gradient_of(codes, feature.float())
        mixed = mixture(logits, self.quantize.embedding.weight, self.temperature)
        return with_gradient_of(codes, mixed.view(shape).permute(0, 3, 1, 2))

    def _generate(self, x: Tensor, skips: dict[str, Tensor], w: float, face: Tensor) -> Tensor:
        cut = self.grad_mode == "official" if self.detach_skip is None else self.detach_skip
        *body, last = self.generator.blocks
        for i, block in enumerate(body):
            x = block(x)
            side = self._generator_taps.get(i)
            if side is not None and w > 0:
                skip = skips.pop(side)
                x = self.fuse_convs_dict[side](skip.detach() if cut else skip, x, w)
        picture: Tensor = last(x)
        return picture if self.input_fusion is None else self.input_fusion(x, picture, face)


_adain = adain  # the argument of `forward` that bears the official name hides the function


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    image: Tensor = network(faces, w=network.w, adain=network.adain)[0]
    return image


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    """Stage 2 with ``w`` 0, stage 3 above; the teacher is the VQ auto-encoder of stage 1 (equations 4 to 6)."""
    assert isinstance(network, CodeFormer)
    image, logits, feature = network(degraded, w=network.w, adain=network.adain)
    if teacher is None:
        return TrainingPass(image, latent=feature)
    assert isinstance(teacher, VQAutoEncoder)
    return TrainingPass(image, own=code_losses(teacher, logits, feature, clean), latent=feature)


def detect(state: StateDict) -> Options | None:
    """Options of a CodeFormer state dict, read off its shapes; None where it is another architecture.

    The number of heads is in no shape; it is the published 8.
    """
    if "position_emb" not in state or "feat_emb.weight" not in state:
        return None
    tokens, width = state["position_emb"].shape
    options = read_options(state, math.isqrt(tokens))
    if options is None:
        return None
    layers = {key.split(".")[1] for key in state if key.startswith("ft_layers.")}
    connected = {int(key.split(".")[1]) for key in state if key.startswith("fuse_convs_dict.")}
    return {
        "out_size": options.pop("img_size"),
        **options,
        "dim_embd": width,
        "n_layers": len(layers),
        "connect_list": tuple(sorted(connected)),
        **fusion_options(state),
    }


def explain(state: StateDict) -> str | None:
    """What a checkpoint of CodeFormer's training is that does not restore; None where it is something else."""
    if read_options(state) is not None:
        return "the VQ auto-encoder of CodeFormer's first stage: it reproduces faces and restores none"
    if "main.0.weight" in state and "main.3.running_mean" in state:
        return "a PatchGAN discriminator, as CodeFormer is trained with; it restores nothing"
    return None


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return CodeFormer(**options)


ARCHITECTURE = Architecture(
    name="codeformer",
    title="CodeFormer",
    paper="Zhou et al., Towards Robust Blind Face Restoration with Codebook Lookup Transformer, NeurIPS 2022",
    licence="S-Lab License 1.0 (non-commercial)",
    build=_build,
    presets={
        "official": {"out_size": 512},
        "zoo": {
            "out_size": 128,
            "nf": 32,
            "ch_mult": (1, 1, 2, 4),
            "codebook_size": 512,
            "emb_dim": 128,
            "dim_embd": 192,
            "n_layers": 5,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    explain=explain,
    run=_run,
    train=_train,
    own_losses=("code", "feature"),
)

__all__ = ["ARCHITECTURE", "CodeFormer", "detect"]
