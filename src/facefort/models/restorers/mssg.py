"""MSSG-Net: codes of high-quality faces, read from an input at several scales, drawn under guidance of a face parser.

"MSSG-Net", IEEE TIFS 20:5269-5281, 2025, doi 10.1109/TIFS.2025.3570850. Only its abstract is public: restorers that
encode to a latent feature resist PGD better than direct ones, a discrete codebook of high-quality faces resists better
still, guidance by semantics at several scales helps further, and the proposed network joins them. Everything below is
this project's reading of it, not given in the paper, and each claim of the abstract is an option. The inputs at several
scales follow Cho et al., MIMO-UNet, ICCV 2021, as RobustSIRR (Song et al., CVPR 2023) uses them; codebook and predictor
are CodeFormer's (Zhou et al., NeurIPS 2022), and gradients through the look-up are a choice as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facefort.models.blocks.input_fusion import InputFusion, fusion_options
from facefort.models.blocks.vq import Downsample, ResBlock, check_grad_mode, mixture, norm_groups, with_gradient_of
from facefort.models.blocks.vqgan import VQAutoEncoder, code_losses, read_options
from facefort.models.parts.parsenet import ZOO_PRESET, ParseNet, detect_within
from facefort.models.restorers.codeformer import TransformerLayer
from facefort.models.spec import Architecture, Options, StateDict, TrainingPass

_SLOPE = 0.2


class ScaledInput(nn.Module):
    """Features of the input at a lower resolution, merged into the encoder's (MIMO-UNet's SCM and FAM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shallow = nn.Sequential(
            nn.Conv2d(3, channels // 2, 3, 1, 1), nn.LeakyReLU(_SLOPE), nn.Conv2d(channels // 2, channels, 3, 1, 1)
        )
        self.merge = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.zeros_(self.merge.weight)

    def forward(self, feature: Tensor, picture: Tensor) -> Tensor:
        """(N, C, H, W) and the input at any resolution, (N, 3, S, S) -> (N, C, H, W)."""
        small = F.interpolate(picture, size=feature.shape[2:], mode="area")
        return feature + self.merge(feature * self.shallow(small))


class Guidance(nn.Module):
    """One level of the generator: scaled and shifted by the parser's feature, and the input's feature behind a gate.

    Args:
        channels: of the generator's and the encoder's feature.
        semantic: channels of the parser's feature; 0 without guidance.
        groups: of the normalisations.
        skip: whether the encoder's feature comes in at all.
    """

    def __init__(self, channels: int, semantic: int, groups: int, skip: bool) -> None:
        super().__init__()
        self.affine = _affine(semantic, channels) if semantic else None
        self.joint = ResBlock(2 * channels, channels, groups) if skip else None
        self.gate = nn.Conv2d(channels + semantic, channels, 3, 1, 1) if skip else None
        self.add = nn.Conv2d(channels, channels, 3, 1, 1) if skip else None
        if self.add is not None:
            nn.init.zeros_(self.add.weight)

    def forward(self, decoded: Tensor, encoded: Tensor, semantic: Tensor | None, w: float) -> Tensor:
        """Maps (N, C, H, W), (N, C, H, W) and (N, K, h, w) -> (N, C, H, W)."""
        if semantic is not None:
            semantic = F.interpolate(semantic, size=decoded.shape[2:], mode="bilinear", align_corners=False)
        if self.affine is not None and semantic is not None:
            scale, shift = self.affine(semantic).chunk(2, dim=1)
            decoded = torch.addcmul(decoded + shift, decoded, scale)
        if self.joint is None or self.gate is None or self.add is None or w <= 0:
            return decoded
        mixed = self.joint(torch.cat([encoded, decoded.to(encoded.dtype)], 1))
        seen = mixed if semantic is None else torch.cat([mixed, semantic.to(mixed.dtype)], 1)
        return decoded + w * self.gate(seen).sigmoid() * self.add(mixed)


def _affine(semantic: int, channels: int) -> nn.Sequential:
    last = nn.Conv2d(channels, 2 * channels, 3, 1, 1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Conv2d(semantic, channels, 3, 1, 1), nn.LeakyReLU(_SLOPE), last)


class CodePredictor(nn.Module):
    """Transformer that names the code of every place.

    Args:
        tokens: places.
        channels: of the feature that it reads.
        codes: size of the codebook.
        width: of the transformer.
        layers: how many.
        heads: of the attention.
        dropout: share of the tokens that are blanked in training.
    """

    def __init__(
        self, tokens: int, channels: int, codes: int, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.position_emb = nn.Parameter(torch.zeros(tokens, width))
        self.feat_emb = nn.Linear(channels, width)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, 2 * width) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, codes, bias=False))

    def forward(self, feature: Tensor) -> Tensor:
        """(N, C, s, s) -> logits (N, T, K), in float32 whatever the precision: a wrong code is a wrong patch."""
        with torch.autocast(feature.device.type, enabled=False):
            tokens = self.feat_emb(feature.float().flatten(2).transpose(1, 2))
            if self.training and self.dropout:
                kept = torch.rand(tokens.shape[:2], device=tokens.device) >= self.dropout
                tokens = tokens * kept[..., None]
            for layer in self.layers:
                tokens = layer(tokens, self.position_emb)
            logits: Tensor = self.head(tokens)
        return logits


class MSSGNet(VQAutoEncoder):
    """The network; not given in the paper.

    Args:
        out_size: side of the face.
        nf: channels at full resolution.
        ch_mult: channels per level relative to ``nf``, from fine to coarse.
        res_blocks: residual blocks per level.
        attn_resolutions: sides of the levels with attention; by default the side of the map of codes.
        codebook_size: number of codes.
        emb_dim: width of a code.
        dim_embd: width of the code predictor.
        n_layers: its layers.
        n_head: its heads.
        parser: options of the parser; it sees the face at its own ``out_size``.
        codebook: predict codes (False: the encoder's feature itself is drawn, a latent auto-encoder).
        guidance: the parser's features guide the generator (False: they do not).
        scales: lower resolutions at which the encoder reads the input once more.
        skip: the encoder's features come in through the gate (False: the picture is drawn from codes alone).
        token_dropout: share of the predictor's tokens that are blanked in training.
        grad_mode: "official" (none; the codes are cut off), "ste" or "soft"; also an attribute.
        w: how much of the gated input :class:`~facefort.models.restorer.Restorer` lets in; also an attribute.
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
        n_layers: int = 9,
        n_head: int = 8,
        parser: Options | None = None,
        codebook: bool = True,
        guidance: bool = True,
        scales: int = 2,
        skip: bool = True,
        token_dropout: float = 0.1,
        grad_mode: str = "soft",
        w: float = 1.0,
        input_fusion: bool = False,
        input_floor: float = 0.0,
    ) -> None:
        super().__init__(out_size, nf, ch_mult, res_blocks, attn_resolutions, codebook_size, emb_dim)
        self.grad_mode, self.w = check_grad_mode(grad_mode), w
        self.parser: ParseNet | None = None
        self.parser_size = (parser or {}).get("out_size", 512)
        # What leaves no other trace in the keys, so that a checkpoint tells how it must be run.
        self.register_buffer(
            "flags", torch.tensor([int(codebook), self.parser_size, self.codes_per_side], dtype=torch.int32)
        )
        if guidance:
            self.parser = ParseNet(**(parser or {})).eval()
        widths = [nf * mult for mult in ch_mult]
        inputs = [i for i, block in enumerate(self.encoder.blocks) if isinstance(block, Downsample)][:scales]
        self._inputs = {index: str(level) for level, index in enumerate(inputs, 1)}
        self.inputs = nn.ModuleDict({str(level): ScaledInput(widths[level - 1]) for level in range(1, len(inputs) + 1)})
        self.predictor: CodePredictor | None = None
        if codebook:
            tokens = self.codes_per_side**2
            self.predictor = CodePredictor(tokens, emb_dim, codebook_size, dim_embd, n_layers, n_head, token_dropout)
        groups = norm_groups(min(widths))
        semantic = [feature.shape[1] for feature in self._semantics_of_nothing()]
        self.guides = nn.ModuleDict()
        for level, channels in enumerate(widths[:-1]):
            chosen = semantic[self._semantic_level(level)] if semantic else 0
            self.guides[str(level)] = Guidance(channels, chosen, groups, skip)
        self.input_fusion = InputFusion(widths[0], floor=input_floor) if input_fusion else None
        self._encoder_taps = {self.encoder.taps[level]: level for level in range(len(widths) - 1)}
        self._generator_taps = {self.generator.taps[level]: level for level in range(len(widths) - 1)}

    def train(self, mode: bool = True) -> MSSGNet:
        """Train everything but the parser, which is frozen."""
        super().train(mode)
        if self.parser is not None:
            self.parser.eval()
        return self

    def forward(self, x: Tensor, w: float = 1.0) -> tuple[Tensor, Tensor | None, Tensor]:  # type: ignore[override]
        """Restore a batch.

        Args:
            x: (N, 3, S, S) in [-1, 1].
            w: how much of the gated input comes in; 0, none.

        Returns:
            Picture (N, 3, S, S), logits of the codes (N, T, K) or None without codebook, the encoder's last feature.
        """
        feature, skips = self._encode(x)
        semantics = self._semantics(x)
        logits = self.predictor(feature) if self.predictor is not None else None
        latent = feature.float() if logits is None else self._look_up(logits, feature)
        return self._generate(latent, skips, semantics, w, x), logits, feature

    def _encode(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Last feature, and the features that may come in at each level."""
        feature, skips = x, {}
        for i, block in enumerate(self.encoder.blocks):
            feature = block(feature)
            if i in self._inputs:
                feature = self.inputs[self._inputs[i]](feature, x)
            if i in self._encoder_taps:
                skips[self._encoder_taps[i]] = feature
        return feature, skips

    def _look_up(self, logits: Tensor, feature: Tensor) -> Tensor:
        """Codes (N, C, s, s) of the best logits, with the gradient that :attr:`grad_mode` says."""
        shape = (len(feature), *feature.shape[2:], -1)
        codes = self.quantize.look_up(logits.argmax(-1).view(shape[:3]))
        if self.grad_mode == "official":
            return codes.detach()
        if self.grad_mode == "ste":
            return with_gradient_of(codes, feature.float())
        mixed = mixture(logits, self.quantize.embedding.weight)
        return with_gradient_of(codes, mixed.view(shape).permute(0, 3, 1, 2))

    def _generate(self, x: Tensor, skips: dict[int, Tensor], semantics: list[Tensor], w: float, face: Tensor) -> Tensor:
        *body, last = self.generator.blocks
        for i, block in enumerate(body):
            x = block(x)
            level = self._generator_taps.get(i)
            if level is not None:
                semantic = semantics[self._semantic_level(level)] if semantics else None
                x = self.guides[str(level)](x, skips[level], semantic, w)
        picture: Tensor = last(x)
        return picture if self.input_fusion is None else self.input_fusion(x, picture, face)

    def _semantics(self, x: Tensor) -> list[Tensor]:
        """The parser's features from small to large; none without guidance."""
        if self.parser is None:
            return []
        seen = x if x.shape[-1] == self.parser_size else F.interpolate(x, size=(self.parser_size,) * 2, mode="area")
        return self.parser.features(seen)[1]

    def _semantic_level(self, level: int) -> int:
        """Which of the parser's features guides a level of the generator: the finest for the finest, and so on."""
        assert self.parser is not None or level >= 0
        count = 1 if self.parser is None else len(self.parser.decoder) + 1
        return max(0, count - 1 - level)

    def _semantics_of_nothing(self) -> list[Tensor]:
        """The parser's features of a grey picture, for their shapes."""
        with torch.no_grad():
            return self._semantics(torch.zeros(1, 3, self.parser_size, self.parser_size))


def _run(network: nn.Module, faces: Tensor) -> Tensor:
    image: Tensor = network(faces, w=network.w)[0]
    return image


def _train(network: nn.Module, degraded: Tensor, clean: Tensor, teacher: nn.Module | None) -> TrainingPass:
    assert isinstance(network, MSSGNet)
    image, logits, feature = network(degraded, w=network.w)
    if teacher is None:
        return TrainingPass(image, latent=feature)
    assert isinstance(teacher, VQAutoEncoder)
    return TrainingPass(image, own=code_losses(teacher, logits, feature, clean), latent=feature)


def detect(state: StateDict) -> Options | None:
    """Options of an MSSG-Net state dict of this project, read off its shapes; None where it is another architecture."""
    if "guides.0.affine.0.weight" not in state and "guides.0.add.weight" not in state:
        return None
    codebook, parser_size, side = (int(value) for value in state["flags"])
    options = read_options(state, side)
    if options is None:
        return None
    parser = detect_within(state, parser_size)
    return {
        "out_size": options.pop("img_size"),
        **options,
        **({"dim_embd": state["predictor.position_emb"].shape[1]} if codebook else {}),
        "n_layers": len({key.split(".")[2] for key in state if key.startswith("predictor.layers.")}),
        "parser": parser,
        "codebook": bool(codebook),
        "guidance": parser is not None,
        "scales": len({key.split(".")[1] for key in state if key.startswith("inputs.")}),
        "skip": "guides.0.add.weight" in state,
        **fusion_options(state),
    }


def _build(**options: Any) -> nn.Module:  # noqa: ANN401
    return MSSGNet(**options)


ARCHITECTURE = Architecture(
    name="mssg",
    title="MSSG-Net",
    paper="MSSG-Net, IEEE TIFS 20:5269-5281, 2025 (a reading of its abstract)",
    licence="Apache-2.0 (no official code or weights)",
    build=_build,
    presets={
        "official": {},
        "zoo": {
            "out_size": 128,
            "nf": 32,
            "ch_mult": (1, 1, 2, 4),
            "codebook_size": 512,
            "emb_dim": 128,
            "dim_embd": 192,
            "n_layers": 5,
            "parser": ZOO_PRESET,
            "input_fusion": True,
            "input_floor": 0.125,
        },
    },
    detect=detect,
    run=_run,
    train=_train,
    own_losses=("code", "feature"),
)

__all__ = ["ARCHITECTURE", "Guidance", "MSSGNet", "ScaledInput", "detect"]
