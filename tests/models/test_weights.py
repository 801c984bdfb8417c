from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from facefort.errors import ModelError, UnknownNameError, UnsafeCheckpointError, WeightsError
from facefort.models import build, load
from facefort.models.restorer import Restorer
from facefort.models.weights import read_checkpoint, save_weights, unwrap

SMALL = {"out_size": 64, "num_style_feat": 16, "num_mlp": 0, "narrow": 0.0625, "channel_multiplier": 1}


@pytest.fixture
def restorer() -> Restorer:
    torch.manual_seed(0)
    return build("gfpgan", **SMALL)


@pytest.mark.parametrize("wrap", ["", "params_ema", "params", "state_dict", "g_ema"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrapped_checkpoints_are_found_out(tmp_path: Path, restorer: Restorer, wrap: str, prefix: str) -> None:
    state = {prefix + key: value for key, value in restorer.network.state_dict().items()}
    torch.save({wrap: state, "iter": 5} if wrap else state, tmp_path / "some.pth")
    loaded = load(tmp_path / "some.pth")
    face = torch.rand(1, 3, 64, 64)
    assert loaded.architecture.name == "gfpgan"
    assert loaded.size == 64
    assert torch.equal(loaded(face), restorer(face))


def test_averaged_weights_are_preferred() -> None:
    good, other = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    assert unwrap({"params": other, "params_ema": good}) == ("params_ema", good)


def test_safetensors_round_trip_in_bfloat16(tmp_path: Path, restorer: Restorer) -> None:
    save_weights(tmp_path / "w.safetensors", restorer.network.state_dict(), {"architecture": "gfpgan"})
    loaded = load(tmp_path / "w.safetensors")
    face = torch.rand(1, 3, 64, 64)
    assert loaded(face).dtype == torch.float32
    assert torch.allclose(loaded(face), restorer(face), atol=0.05)
    assert not any(p.requires_grad for p in loaded.parameters())


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("form", ["zip", "bare"])
def test_a_pickle_that_would_run_code_is_refused_and_named(tmp_path: Path, form: str) -> None:
    mark = tmp_path / "ran"
    path = tmp_path / "evil.pth"
    if form == "zip":
        torch.save({"params": {"a": torch.zeros(1)}, "x": Evil(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"x": Evil(mark)}, protocol=2))
    with pytest.raises(UnsafeCheckpointError, match=r"evil\.pth was refused.*system") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_malicious_pickle_under_an_innocent_suffix(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(pickle.dumps(Evil(tmp_path / "ran"), protocol=4))
    with pytest.raises(UnsafeCheckpointError):
        load(tmp_path / "w.safetensors")
    assert not (tmp_path / "ran").exists()


def bad_files(folder: Path, restorer: Restorer) -> dict[str, tuple[Path, str]]:
    state = restorer.network.state_dict()
    saved = folder / "good.pth"
    torch.save(state, saved)
    data = saved.read_bytes()

    def put(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    def save(name: str, tree: object) -> Path:
        torch.save(tree, folder / name)
        return folder / name

    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    short = struct.pack("<Q", len(header)) + header + bytes(8)
    first = next(iter(state))
    nan = {**state, first: torch.full_like(state[first], float("nan"))}
    wrong = {**state, first: torch.zeros(1, 1)}
    return {
        "missing": (folder / "none.pth", "no checkpoint at"),
        "folder": (folder, "is a folder"),
        "empty": (put("empty.pth", b""), "is empty"),
        "truncated": (put("cut.pth", data[: len(data) // 2]), "truncated|damaged"),
        "text": (put("text.pth", b"hello, I am not a checkpoint"), "not a checkpoint"),
        "short safetensors": (put("short.safetensors", short), "damaged"),
        "zip": (put("other.pth", _zip()), "not a checkpoint"),
        "no tensors": (save("none_inside.pth", {"epoch": 3}), "holds no weights"),
        "other architecture": (save("other_arch.pth", {"layer.weight": torch.zeros(3)}), "of no known restorer.*layer"),
        "key missing": (save("lacks.pth", {k: v for k, v in state.items() if k != "final_conv.bias"}), "1 missing"),
        "key too many": (save("extra.pth", {**state, "extra": torch.zeros(1)}), "1 unexpected"),
        "shape": (save("shape.pth", wrong), "does not fit"),
        "NaN": (save("nan.pth", nan), "NaN or infinity"),
    }


def _zip() -> bytes:
    import io

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "hi")
    return stream.getvalue()


def test_every_bad_checkpoint_gets_one_line(tmp_path: Path, restorer: Restorer) -> None:
    for name, (path, message) in bad_files(tmp_path, restorer).items():
        with pytest.raises((WeightsError, ModelError), match=message) as caught:
            load(path)
        assert "\n" not in str(caught.value), name


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.pth"
    with path.open("wb") as stream:
        stream.truncate(10 * 2**30)
    with pytest.raises(WeightsError, match=r"10\.0 GiB, more than the 4 GiB"):
        read_checkpoint(path)


def test_an_unknown_name_offers_the_zoo() -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'gfpgan-12'"):
        load("gfpgan-12")
