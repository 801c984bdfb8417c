"""PatchGAN: a discriminator that judges overlapping patches (Isola et al., CVPR 2017)."""

from __future__ import annotations

from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Strided 4x4 convolutions, batch-normalised, that end in a map of logits; names as in CodeFormer's weights.

    Args:
        nc: channels of the picture.
        ndf: channels of the first layer; doubled by each that follows, up to eight times.
        n_layers: layers of stride 2.
    """

    def __init__(self, nc: int = 3, ndf: int = 64, n_layers: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        width = ndf
        for n in range(1, n_layers + 1):
            wider = ndf * min(2**n, 8)
            stride = 2 if n < n_layers else 1
            layers += [nn.Conv2d(width, wider, 4, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, 1, 1))
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> logits (N, 1, h, w), high for real patches."""
        logits: Tensor = self.main(x)
        return logits
