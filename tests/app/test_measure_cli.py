"""`facefort measure`: what people type, what they get, and the exit codes that scripts rely on."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import yaml

from facefort.app.cli.main import run as run_cli
from facefort.pictures.photo import Photo


def write(path, seed, noise=0.0, side=40, flat=False):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    clean = 0.5 + 0.3 * np.stack([np.sin(rng.uniform(3, 9) * x + rng.uniform(3, 9) * y) for _ in range(3)], 2)
    pixels = clean * 0 if flat else (clean + np.random.default_rng(seed + 50).normal(0, noise, clean.shape)).clip(0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Photo.from_array(pixels.astype(np.float32)).write(path)


@pytest.fixture
def pair(tmp_path):
    for i in range(3):
        write(tmp_path / "r" / f"{i}.png", i)
        write(tmp_path / "t" / f"{i}.png", i, noise=0.05)
    return tmp_path / "t", tmp_path / "r"


def test_the_table_goes_to_standard_output_and_nothing_else(facefort, pair):
    done = facefort("measure", "-t", pair[0], "-r", pair[1], "-M", "psnr-rgb,ssim-rgb")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("**t against r: 3 pictures**\n\n| metric     |")
    assert "| psnr-rgb ↑ |" in done.out


def test_the_pictures_can_be_named_three_ways_but_once(facefort, pair):
    outs = {
        facefort("measure", *how, "-r", pair[1], "-M", "psnr-*").out
        for how in ([pair[0]], ["-t", pair[0]], ["-i", pair[0]])
    }
    assert len(outs) == 1
    done = facefort("measure", pair[0], "-t", pair[1])
    assert done.code == 2
    assert "name the pictures once" in done.fault


def test_json_for_programs(facefort, pair):
    done = facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "--json", "--limit", 2)
    found = json.loads(done.out)
    assert [row["name"] for row in found["rows"]] == ["0", "1"]
    assert found["summary"][0]["n"] == 2
    assert facefort("measure", pair[0], "-r", pair[1], "--json", "--format", "csv").code == 2


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("x.md", "**t against r"),
        ("x.tex", "% t against r"),
        ("x.csv", "metric,kind,mean"),
        ("x.json", "{"),
        ("x.html", "<!doctype"),
        ("x", "**t"),
    ],
)
def test_the_form_of_a_file_follows_its_ending(facefort, pair, tmp_path, name, begins):
    done = facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "-o", tmp_path / name)
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / name).read_text().startswith(begins)


def test_a_format_that_is_named_wins_over_the_ending(facefort, pair, tmp_path):
    facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "-o", tmp_path / "x.txt", "--format", "latex")
    assert r"\toprule" in (tmp_path / "x.txt").read_text()


def test_failures_are_told_on_standard_error_with_code_1(facefort, pair):
    write(pair[0] / "1.png", 1, flat=True)
    (pair[0] / "2.png").unlink()
    done = facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "--per-picture", "-")
    assert done.code == 1
    assert done.err.splitlines() == [
        "1: failed: the picture 1.png is one flat colour; what made it has failed",
        "2: failed: no test picture for the reference 2.png",
    ]
    rows = list(csv.DictReader(io.StringIO(done.out[: done.out.index("**")])))
    assert [row["status"] for row in rows] == ["ok", "failed", "failed"]
    assert "| 1 |        0 |        0 |      2 |" in done.out.replace("|   1 |", "| 1 |")


def test_many_failures_are_not_all_told_but_all_written(facefort, tmp_path):
    for i in range(15):
        write(tmp_path / "r" / f"{i}.png", i)
    write(tmp_path / "t" / "0.png", 0, noise=0.1)
    done = facefort(
        "measure", tmp_path / "t", "-r", tmp_path / "r", "-M", "psnr-rgb", "--per-picture", tmp_path / "p.csv"
    )
    assert done.code == 1
    assert done.err.splitlines()[-1] == "... and 4 more; --per-picture FILE lists all"
    assert (tmp_path / "p.csv").read_text().count("failed") == 14
    assert facefort("measure", tmp_path / "t", "-r", tmp_path / "r", "-M", "psnr-rgb", "--subset").code == 0


def test_nothing_measurable_is_code_2_with_the_way_out(facefort, tmp_path):
    write(tmp_path / "t" / "a_00.png", 0, noise=0.1)
    write(tmp_path / "r" / "a.png", 0)
    done = facefort("measure", tmp_path / "t", "-r", tmp_path / "r", "-M", "psnr-rgb")
    assert done.code == 2
    assert done.out == ""
    assert done.err.splitlines()[-1] == (
        "facefort: nothing could be measured; no reference picture called a_00; if a_00 belongs to a, "
        "add --pair-suffix=_00"
    )
    assert facefort("measure", tmp_path / "t", "-r", tmp_path / "r", "-M", "psnr-rgb", "--pair-suffix=_00").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the pictures to measure"),
        (("nowhere",), "no file or folder nowhere"),
        (("{t}", "-M", "psnr-rgb"), "psnr-rgb compares with clean pictures; name them with -r"),
        (("{t}", "-r", "{r}", "-M", "pnsr-rgb"), "unknown metric 'pnsr-rgb'; did you mean psnr-rgb"),
        (("{t}", "-r", "{r}", "--protocol", "gfpga"), "unknown protocol 'gfpga'; did you mean gfpgan"),
        (("{t}", "-r", "{r}", "--fail-if", "psnr"), "a condition reads like"),
        (
            ("{t}", "-r", "{r}", "-M", "psnr-rgb", "--fail-if", "ssim-rgb<1"),
            "unknown metric in the condition 'ssim-rgb'",
        ),
        (("{t}", "-r", "{r}", "--batch", "0"), "batch must be at least 1"),
        (("{t}", "-r", "{r}", "--limit", "0"), "limit must be at least 1"),
    ],
)
def test_bad_usage_is_code_2_and_one_line(facefort, pair, arguments, said):
    t, r = map(str, pair)
    done = facefort("measure", *(text.format(t=t, r=r) for text in arguments))
    assert done.code == 2
    assert said in done.fault
    assert done.out == ""


def test_thresholds_are_code_3(facefort, pair):
    done = facefort(
        "measure", *pair[:1], "-r", pair[1], "-M", "psnr-rgb,ssim-rgb", "--fail-if", "psnr-rgb<90,ssim-rgb<0"
    )
    assert done.code == 3
    assert done.fault.startswith("facefort: psnr-rgb is ")
    assert done.fault.endswith("and must not be < 90")
    assert done.out.startswith("**t against r")
    assert facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "--fail-if", "psnr-rgb < 1").code == 0


def test_a_config_file_and_flags_that_win_over_it(facefort, pair, tmp_path):
    values = {"test": str(pair[0]), "reference": str(pair[1]), "metrics": ["psnr-rgb", "ssim-rgb"], "limit": 2}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(values))
    found = json.loads(facefort("measure", "--config", tmp_path / "m.yaml", "--json").out)
    assert [one["metric"] for one in found["summary"]] == ["psnr-rgb", "ssim-rgb"]
    assert len(found["rows"]) == 2
    found = json.loads(
        facefort("measure", "--config", tmp_path / "m.yaml", "-M", "psnr-rgb", "--limit", 1, "--json").out
    )
    assert [one["metric"] for one in found["summary"]] == ["psnr-rgb"]
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(values | {"metrix": []}))
    assert "unknown key 'metrix'; did you mean metrics" in facefort("measure", "--config", tmp_path / "m.yaml").fault


def test_a_run_folder_gives_a_page_again_and_again(facefort, pair, tmp_path):
    place = tmp_path / "run"
    done = facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "--run", place)
    assert done.code == 0
    assert done.err.splitlines()[-1] == f"Page: {place / 'report.html'}"
    page = (place / "report.html").read_text()
    assert "t against r: 3 pictures" in page
    assert facefort("report", place).code == 0
    assert (place / "report.html").read_text() == page
    assert facefort("measure", pair[0], "-r", pair[1], "-M", "psnr-rgb", "--run", place).code == 0
    other = facefort("measure", pair[0], "-r", pair[1], "-M", "ssim-rgb", "--run", place)
    assert other.code == 2
    assert facefort("measure", pair[0], "-r", pair[1], "-M", "ssim-rgb", "--run", place, "--force").code == 0


def test_an_interruption_is_code_130(monkeypatch, pair, capsys):
    from facefort.measuring import run as measuring

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring.Scorer, "rows", stop)
    assert run_cli(["measure", str(pair[0]), "-r", str(pair[1]), "-M", "psnr-rgb"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_metrics_are_listed_with_what_a_reader_needs(facefort):
    rows = {row["name"]: row for row in json.loads(facefort("ls", "metrics", "--json").out)}
    psnr = rows["psnr-rgb"]
    assert (psnr["direction"], psnr["range"], psnr["unit"], psnr["kind"]) == ("higher", [0.0, "inf"], "dB", "picture")
    assert rows["lpips-vgg"]["weights"] == ["lpips"]
    assert rows["identity-dlib"]["needs_face"]
    assert rows["fid"]["kind"] == "set"
    assert all(row["variant"] and row["reference"] for row in rows.values())
    lines = facefort("ls", "metrics", "psnr-rgb").out.splitlines()
    assert lines[0].startswith("psnr-rgb ↑ 0 to ∞ dB")
    assert "needs reference" in lines[0]


def test_protocols_are_listed_with_what_to_bring(facefort):
    rows = {row["name"]: row for row in json.loads(facefort("ls", "protocols", "--json").out)}
    assert "psnr-mvc" in rows["gfpgan"]["metrics"]
    assert rows["gfpgan"]["pictures"]["size"] == 512
    said = facefort("ls", "protocols", "gfpgan").out
    assert "inception_FFHQ_512-f7b384ab.pth" in said
    assert "not stated" in said
