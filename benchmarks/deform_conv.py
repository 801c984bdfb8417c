"""CPU seconds of one deformable convolution of VQFR at 512 px, forward and backward, beside other ways to compute it.

    python benchmarks/deform_conv.py [--repeats 3] [--level 1 2 8]

A level's map is 512 px divided by it, with the published channels and four deformable groups. Beside it: the plain
convolution of the same size, ``grid_sample`` called once for all taps and once per tap, and, where they are installed,
torchvision's own operation and ONNX Runtime's (which needs `onnx`). CPU time of one thread, median after a warm-up; the
last column is the largest difference from this package's result, whose values are near one.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from facefort.models.blocks.deform_conv import deform_conv2d

CHANNELS = {1: 128, 2: 128, 4: 256, 8: 256, 16: 256, 32: 512}  # of VQFR v1, by level
GROUPS, TAPS = 4, 9
Ways = dict[str, Callable[[], Tensor]]


def inputs(level: int) -> list[Tensor]:
    """Map, offsets of some pixels, mask and kernel."""
    torch.manual_seed(0)
    side, channels = 512 // level, CHANNELS[level]
    maps = [
        torch.randn(1, channels, side, side),
        3 * torch.randn(1, 2 * GROUPS * TAPS, side, side),
        torch.rand(1, GROUPS * TAPS, side, side),
    ]
    kernel = torch.randn(channels, channels, 3, 3) / (channels * TAPS) ** 0.5
    return [tensor.contiguous(memory_format=torch.channels_last) for tensor in (*maps, kernel)]


def by_grid_sample(x: Tensor, offset: Tensor, mask: Tensor, kernel: Tensor, at_once: bool) -> Tensor:
    """The same by sampling grids of normalised places."""
    _, channels, height, width = x.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    shifts = offset.view(GROUPS, TAPS, 2, height, width)
    of_group = x.view(GROUPS, channels // GROUPS, height, width)
    weights = mask.view(GROUPS, TAPS, height, width)

    def sample(taps: range) -> Tensor:
        down = torch.tensor([tap // 3 - 1 for tap in taps])[:, None, None]
        right = torch.tensor([tap % 3 - 1 for tap in taps])[:, None, None]
        part = shifts[:, taps.start : taps.stop]
        y = (part[:, :, 0] + rows + down) * (2 / (height - 1)) - 1
        z = (part[:, :, 1] + columns + right) * (2 / (width - 1)) - 1
        grid = torch.stack([z, y], -1).view(GROUPS, -1, width, 2)
        found = F.grid_sample(of_group, grid, align_corners=True).view(GROUPS, -1, len(taps), height, width)
        return found * weights[:, None, taps.start : taps.stop]

    parts = [range(TAPS)] if at_once else [range(tap, tap + 1) for tap in range(TAPS)]
    out = torch.zeros(len(kernel), height * width)
    for taps in parts:
        columns_of = sample(taps).reshape(channels * len(taps), -1)
        out = out + kernel.flatten(2)[:, :, taps.start : taps.stop].reshape(len(kernel), -1) @ columns_of
    return out.view(1, -1, height, width)


def onnx_runtime(parts: list[Tensor]) -> Callable[[], Tensor]:
    """ONNX Runtime's operation."""
    import onnxruntime
    from onnx import TensorProto, helper

    names = ["x", "kernel", "offset", "bias", "mask"]
    node = helper.make_node("DeformConv", names, ["y"], kernel_shape=[3, 3], pads=[1] * 4, offset_group=GROUPS)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*names, "y")]
    graph = helper.make_graph([node], "g", values[:-1], values[-1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    x, offset, mask, kernel = (part.contiguous().numpy() for part in parts)
    given = dict(zip(names, (x, kernel, offset, kernel[:, 0, 0, 0] * 0, mask), strict=True))
    return lambda: torch.from_numpy(session.run(None, given)[0])


def ways(parts: list[Tensor]) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Every way that is at hand, by name; the first is this package's."""
    x, offset, mask, kernel = parts
    yield "this package", lambda: deform_conv2d(x, offset, mask, kernel, padding=1)
    plain = [part.contiguous() for part in (x, offset, mask, kernel)]
    yield "grid_sample, once", lambda: by_grid_sample(*plain, at_once=True)
    yield "grid_sample, per tap", lambda: by_grid_sample(*plain, at_once=False)
    with contextlib.suppress(ImportError, RuntimeError):
        from torchvision.ops import deform_conv2d as theirs

        yield "torchvision", lambda: theirs(*plain[:2], plain[3], padding=1, mask=plain[2])
    with contextlib.suppress(ImportError, RuntimeError):
        yield "ONNX Runtime", onnx_runtime(parts)


def bfloat16(parts: list[Tensor]) -> Tensor:
    x, offset, mask, kernel = parts
    with torch.autocast("cpu", torch.bfloat16):
        return deform_conv2d(x.bfloat16(), offset, mask, kernel, padding=1).float()


def seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def backward(parts: list[Tensor], wanted: int) -> Callable[[], object]:
    """Forward and backward pass to the first ``wanted`` inputs."""
    given = [part.detach().requires_grad_(i < wanted) for i, part in enumerate(parts)]
    return lambda: torch.autograd.grad(deform_conv2d(*given, padding=1).sum(), given[:wanted])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--level", type=int, nargs="+", default=[1, 2, 8], choices=CHANNELS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"One thread, median of {options.repeats} after a warm-up, torch {torch.__version__}\n")
    print("| level | map | way | CPU-s | largest difference |")
    print("|---|---|---|---|---|")
    for level in options.level:
        parts = inputs(level)
        size = f"{CHANNELS[level]} x {512 // level} x {512 // level}"
        with torch.no_grad():
            x, _, _, kernel = parts
            found = [("plain convolution", lambda: F.conv2d(x, kernel, padding=1)), *ways(parts)]  # noqa: B023
            found.insert(2, ("this package, autocast bf16", lambda: bfloat16(parts)))  # noqa: B023
            exact = found[1][1]()
            for name, call in found:
                off = "" if name == "plain convolution" else f"{float((call() - exact).abs().max()):.1e}"
                print(f"| {level} | {size} | {name} | {seconds(call, options.repeats):.3f} | {off} |", flush=True)
        for name, wanted in (("forward and backward to the maps", 3), ("and to the kernel", 4)):
            print(
                f"| {level} | {size} | {name} | {seconds(backward(parts, wanted), options.repeats):.3f} | |", flush=True
            )


if __name__ == "__main__":
    main()
