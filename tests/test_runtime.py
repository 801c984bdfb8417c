from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from facefort import runtime
from facefort.errors import UsageError


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, facefort, facefort.app.cli.main\n"
        "heavy = {'torch', 'numpy', 'cv2', 'onnxruntime', 'scipy', 'PIL', 'pyvips', 'rich', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    import facefort

    for name in facefort.__all__:
        assert getattr(facefort, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = facefort.nothing  # type: ignore[attr-defined]


def test_a_draw_depends_on_its_key_alone() -> None:
    first = torch.rand(4, generator=runtime.generator(0, "a.png", 1))
    torch.manual_seed(5)
    assert torch.equal(first, torch.rand(4, generator=runtime.generator(0, "a.png", 1)))
    assert not torch.equal(first, torch.rand(4, generator=runtime.generator(0, "b.png", 1)))


def test_unknown_precision_and_absent_device() -> None:
    with pytest.raises(UsageError, match="unknown precision 'fp8'"):
        runtime.choose("cpu", "fp8")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="use --device cpu"):
            runtime.choose("cuda")


def test_description_names_no_place() -> None:
    described = runtime.describe(runtime.choose("cpu", "fp32"))
    assert described["precision"] == "fp32"
    assert not any("/" in str(value) for key, value in described.items() if key != "processor")
