"""Convolution with spectral normalisation, whose state changes in training only.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018. Names and arithmetic are those
of PyTorch's hook-based implementation, from which the field's checkpoints come.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-12


class SpectralConv2d(nn.Module):
    """Convolution whose weight is divided by its largest singular value, estimated by power iteration.

    One step of the iteration runs per forward pass in training; in evaluation the estimate stands still, so that
    neither use nor an attack changes the network.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, kernel_size, bias=bias)
        self.bias = plain.bias
        self.weight_orig = plain.weight
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0, eps=_EPSILON))
        self.register_buffer("weight_v", F.normalize(torch.randn(inputs * kernel_size**2), dim=0, eps=_EPSILON))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        with torch.autocast(x.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1)
            if self.training:
                self._iterate(matrix.detach())
            # Copies: the next step of the iteration must not reach into this pass's graph.
            u, v = self.weight_u.clone(), self.weight_v.clone()
            weight = self.weight_orig / torch.dot(u, matrix @ v)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.weight_v.copy_(F.normalize(matrix.t() @ self.weight_u, dim=0, eps=_EPSILON))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=_EPSILON))
