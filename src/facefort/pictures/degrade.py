"""The degradations of the published restorers: blur, downsampling, noise, JPEG, and back to the original size.

    y = resize( JPEG_q( round( down_r( x * k_sigma ) + n_delta ) ) )

A preset is defined for faces of 512 px. At another size its blur kernel and its downsampling factor scale with the
size, so that a degraded face holds the same information at every size (``scaled=False`` keeps the raw values). Noise
and JPEG act on the small picture, whose size in pixels does not change with the scaling, and keep their values.

Each picture's draw depends on the seed and on its name alone, never on its place in a batch, and is returned as plain
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from facefort.errors import UnknownNameError, UsageError
from facefort.pictures.tensors import from_bytes
from facefort.runtime import generator

REFERENCE_SIZE = 512

Range = tuple[float, float]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Preset:
    """Ranges of one published degradation, at 512 px; every range is drawn uniformly.

    Attributes:
        name: what it is called on the command line.
        source: where the numbers come from.
        blur: kinds of blur and their probabilities; what is left to 1 is no blur.
        kernel_size: taps of the Gaussian kernels.
        sigma: standard deviation of the Gaussian kernels, in pixels.
        window: side of average and median windows, in pixels.
        motion: length of motion kernels, in pixels.
        down: downsampling factor; below 1 it enlarges, as the published code does.
        noise: standard deviation of the noise on the scale 0-255.
        noise_kinds: "gaussian", "laplace" or "poisson", drawn with equal probability.
        noise_probability: share of pictures that get noise.
        jpeg: quality.
        jpeg_probability: share of pictures that get JPEG.
        corrupt_first: blur, noise and JPEG act in random order at full size, before the downsampling.
        colour: colour shift, jitter and grey of GFP-GAN v1.
    """

    name: str
    source: str
    down: Range
    noise: Range
    jpeg: Range
    blur: tuple[tuple[str, float], ...] = (("isotropic", 0.5), ("anisotropic", 0.5))
    kernel_size: tuple[int, ...] = (41,)
    sigma: Range = (0.1, 10.0)
    window: Range = (3, 15)
    motion: Range = (5, 25)
    noise_kinds: tuple[str, ...] = ("gaussian",)
    noise_probability: float = 1.0
    jpeg_probability: float = 1.0
    corrupt_first: bool = False
    colour: bool = False


_GFPGAN = "GFP-GAN training options (TencentARC/GFPGAN); also VQFR v1 and GPEN"

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("gfpgan", _GFPGAN, down=(0.8, 8), noise=(0, 20), jpeg=(60, 100)),
        Preset("gfpgan_v1", _GFPGAN + ", with v1's colour jitter", (0.8, 8), (0, 20), (60, 100), colour=True),
        Preset("vqfr_v2", "VQFR v2 training options", (1, 30), (0, 20), (30, 90), sigma=(1, 15)),
        Preset("restoreformer", "RestoreFormer training options", (0.8, 8), (0, 20), (60, 100), kernel_size=(39, 41)),
        Preset("codeformer_s2", "CodeFormer stage 2 options", (4, 30), (0, 20), (30, 80), sigma=(1, 15)),
        Preset("codeformer_s3", "CodeFormer stage 3 options, mild branch", (1, 12), (0, 15), (60, 100)),
        Preset(
            "psfrgan",
            "PSFR-GAN training code; imgaug's JPEG compression c is quality 100 - c",
            down=(2, 16),
            noise=(0, 25.5),
            jpeg=(35, 90),
            blur=(("gaussian", 0.125), ("average", 0.125), ("median", 0.125), ("motion", 0.125)),
            sigma=(3, 15),
            noise_probability=0.2,
            jpeg_probability=0.7,
        ),
        Preset(
            "hifacegan_full",
            "HiFaceGAN full degradation; imgaug's JPEG compression c is quality 100 - c",
            down=(4, 8),
            noise=(20, 40),
            jpeg=(15, 50),
            blur=(("motion", 0.5), ("gaussian", 0.5)),
            sigma=(3, 8),
            motion=(10, 20),
            noise_kinds=("gaussian", "laplace", "poisson"),
            corrupt_first=True,
        ),
    )
}


@dataclass(frozen=True)
class Degraded:
    """Degraded pictures (N, 3, S, S), 8-bit values in [0, 1], and what was drawn for each of them."""

    pictures: Tensor
    parameters: list[Parameters]


def find_preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise UnknownNameError("degradation preset", name, PRESETS) from None


def degrade(
    faces: Tensor,
    preset: str = "gfpgan",
    *,
    seed: int = 0,
    names: Sequence[str] | None = None,
    scaled: bool = True,
) -> Degraded:
    """Degrade a batch of faces.

    Args:
        faces: (N, 3, S, S) in [0, 1].
        preset: a name of :data:`PRESETS`.
        seed: with a picture's name it decides the picture's draw.
        names: one per picture; default "0", "1", ...
        scaled: scale blur and downsampling from 512 px to S.

    Raises:
        UnknownNameError: unknown preset.
        UsageError: not a batch of square pictures, or another number of names.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or faces.shape[2] != faces.shape[3]:
        raise UsageError(f"degrade needs faces of shape (N, 3, S, S), not {tuple(faces.shape)}")
    names = [str(i) for i in range(len(faces))] if names is None else names
    if len(names) != len(faces):
        raise UsageError(f"{len(names)} names for {len(faces)} faces")
    chosen = find_preset(preset)
    pictures = faces.detach().float().cpu().permute(0, 2, 3, 1).mul(255).contiguous().numpy()
    done, drawn = [], []
    for picture, name in zip(pictures, names, strict=True):
        numbers = np.random.default_rng(generator("degrade", preset, seed, name).initial_seed())
        parameters = draw(chosen, numbers, picture.shape[0], scaled=scaled)
        done.append(apply(picture, parameters, numbers))
        drawn.append(parameters)
    return Degraded(from_bytes(np.stack(done)) if done else faces.clone(), drawn)


def draw(preset: Preset, numbers: np.random.Generator, size: int, *, scaled: bool = True) -> Parameters:
    """Parameters of one picture of ``size`` pixels, as plain numbers in that picture's pixels."""
    scale = size / REFERENCE_SIZE if scaled else 1.0
    parameters: Parameters = {"preset": preset.name, "scale": scale}
    parameters.update(_draw_blur(preset, numbers, scale))
    parameters["down"] = float(numbers.uniform(*preset.down)) * scale
    if numbers.random() < preset.noise_probability:
        parameters["noise"] = float(numbers.uniform(*preset.noise))
        parameters["noise_kind"] = str(numbers.choice(preset.noise_kinds))
        if preset.corrupt_first:
            # Full-size noise shrinks by the averaging that the scaling stands for.
            parameters["noise"] *= scale
    if numbers.random() < preset.jpeg_probability:
        parameters["jpeg"] = round(numbers.uniform(*preset.jpeg))
    if preset.corrupt_first:
        parameters["order"] = [str(step) for step in numbers.permutation(["blur", "noise", "jpeg"])]
    if preset.colour:
        parameters.update(_draw_colour(numbers))
    return parameters


def apply(picture: np.ndarray, parameters: Parameters, numbers: np.random.Generator) -> np.ndarray:
    """Degrade one picture, (S, S, 3) float32 on 0-255, and return it as uint8 of the same size."""
    steps = {"blur": _blur, "noise": _noise, "jpeg": _jpeg}
    order = parameters.get("order")
    if order:
        for step in order:
            picture = steps[step](picture, parameters, numbers)
        picture = _down(picture, parameters)
    else:
        picture = _down(_blur(picture, parameters, numbers), parameters)
        picture = _jpeg(_noise(picture, parameters, numbers), parameters, numbers)
    size = round(parameters["size"])
    shrinks = picture.shape[0] > size
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if "colour_order" in parameters or "shift" in parameters or parameters.get("grey"):
        picture = _colour(picture, parameters)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _draw_blur(preset: Preset, numbers: np.random.Generator, scale: float) -> Parameters:
    kinds = [kind for kind, _ in preset.blur] + ["none"]
    shares = [share for _, share in preset.blur]
    kind = str(numbers.choice(kinds, p=[*shares, max(0.0, 1 - sum(shares))]))
    drawn: Parameters = {"blur": kind}
    if kind in ("isotropic", "anisotropic", "gaussian"):
        taps = int(numbers.choice(preset.kernel_size))
        sigma = float(numbers.uniform(*preset.sigma))
        drawn["kernel_size"] = odd(taps * scale)
        drawn["sigma"] = [sigma * scale, sigma * scale]
        if kind == "anisotropic":
            drawn["sigma"][1] = float(numbers.uniform(*preset.sigma)) * scale
            drawn["angle"] = float(numbers.uniform(-math.pi, math.pi))
    elif kind in ("average", "median"):
        drawn["window"] = odd(float(numbers.uniform(*preset.window)) * scale)
    elif kind == "motion":
        drawn["kernel_size"] = odd(float(numbers.uniform(*preset.motion)) * scale)
        drawn["angle"] = float(numbers.uniform(-math.pi, math.pi))
    return drawn


def odd(size: float) -> int:
    """The odd whole number nearest to ``size``, at least 1."""
    return max(1, 2 * round((size - 1) / 2) + 1)


def gaussian_kernel(taps: int, sigma: Sequence[float], angle: float = 0.0) -> np.ndarray:
    """A bivariate Gaussian kernel (taps, taps) that sums to 1; ``angle`` turns its axes, in radians."""
    line = np.arange(taps, dtype=np.float64) - (taps - 1) / 2
    x, y = np.meshgrid(line, line)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((along / sigma[0]) ** 2 + (across / sigma[1]) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def motion_kernel(taps: int, angle: float) -> np.ndarray:
    """A straight motion kernel (taps, taps) that sums to 1."""
    kernel = np.zeros((taps, taps), np.float32)
    half = (taps - 1) / 2
    for t in np.linspace(-half, half, 4 * taps):
        kernel[round(half + t * math.sin(angle)), round(half + t * math.cos(angle))] += 1
    return kernel / kernel.sum()


def _blur(picture: np.ndarray, parameters: Parameters, numbers: np.random.Generator) -> np.ndarray:
    kind = parameters["blur"]
    if kind in ("isotropic", "anisotropic", "gaussian"):
        kernel = gaussian_kernel(parameters["kernel_size"], parameters["sigma"], parameters.get("angle", 0.0))
        return cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    if kind == "average":
        return cv2.blur(picture, (parameters["window"],) * 2)
    if kind == "median":
        rounded = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        return cv2.medianBlur(rounded, parameters["window"]).astype(np.float32)
    if kind == "motion":
        return cv2.filter2D(picture, -1, motion_kernel(parameters["kernel_size"], parameters["angle"]))
    return picture


def _down(picture: np.ndarray, parameters: Parameters) -> np.ndarray:
    parameters["size"] = picture.shape[0]
    small = max(1, int(picture.shape[0] // parameters["down"]))
    return cv2.resize(picture, (small, small), interpolation=cv2.INTER_LINEAR)


def _noise(picture: np.ndarray, parameters: Parameters, numbers: np.random.Generator) -> np.ndarray:
    if "noise" in parameters:
        level, kind = parameters["noise"], parameters["noise_kind"]
        if kind == "gaussian":
            noise = numbers.standard_normal(picture.shape, dtype=np.float32) * level
        elif kind == "laplace":
            noise = numbers.laplace(0, level / math.sqrt(2), picture.shape)
        else:
            noise = numbers.poisson(level**2, picture.shape) - level**2  # variance = mean = level squared
        picture = picture + np.asarray(noise, np.float32)
    return np.clip(np.rint(picture), 0, 255)


def _jpeg(picture: np.ndarray, parameters: Parameters, numbers: np.random.Generator) -> np.ndarray:
    if "jpeg" not in parameters:
        return picture
    bgr = np.clip(np.rint(picture[:, :, ::-1]), 0, 255).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, parameters["jpeg"]])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if ok else None
    assert decoded is not None
    return decoded[:, :, ::-1].astype(np.float32)


def _draw_colour(numbers: np.random.Generator) -> Parameters:
    """GFP-GAN v1: shift p .3, torch-style jitter p .3, grey p .01."""
    drawn: Parameters = {}
    if numbers.random() < 0.3:
        drawn["shift"] = [float(v) for v in numbers.uniform(-20, 20, 3)]
    if numbers.random() < 0.3:
        drawn["colour_order"] = [str(v) for v in numbers.permutation(["brightness", "contrast", "saturation", "hue"])]
        drawn["brightness"], drawn["contrast"] = (float(v) for v in numbers.uniform(0.5, 1.5, 2))
        drawn["saturation"] = float(numbers.uniform(0, 1.5))
        drawn["hue"] = float(numbers.uniform(-0.1, 0.1))
    drawn["grey"] = bool(numbers.random() < 0.01)
    return drawn


def _colour(picture: np.ndarray, parameters: Parameters) -> np.ndarray:
    picture = np.clip(picture + np.float32(parameters.get("shift", [0.0, 0.0, 0.0])), 0, 255)
    for step in parameters.get("colour_order", ()):
        amount = parameters[step]
        if step == "hue":
            hls = cv2.cvtColor(picture / 255, cv2.COLOR_RGB2HSV)
            hls[..., 0] = (hls[..., 0] + 360 * amount) % 360
            picture = cv2.cvtColor(hls, cv2.COLOR_HSV2RGB) * 255
            continue
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        origins = {"brightness": np.float32(0), "contrast": grey.mean(), "saturation": grey[..., None]}
        origin = np.asarray(origins[step], np.float32)
        picture = np.clip(origin + amount * (picture - origin), 0, 255).astype(np.float32)
    if parameters.get("grey"):
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return picture


__all__ = ["PRESETS", "Degraded", "Preset", "apply", "degrade", "draw", "find_preset", "gaussian_kernel"]
