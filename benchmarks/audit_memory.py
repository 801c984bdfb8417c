"""Peak memory of an audit of 100 and of 1000 faces, with a tiny restorer at 64 px: it must not grow with the faces.

python benchmarks/audit_memory.py [--few 100] [--many 1000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLACK = 1.10
SIDE = 64


def audit(count: int) -> dict[str, float]:
    """Audit ``count`` faces in this process and say what that took."""
    import numpy as np
    import torch
    from PIL import Image
    from torch import nn

    from facefort.audit import AuditSettings
    from facefort.audit.run import run
    from facefort.models.restorer import Origin, Restorer
    from facefort.models.spec import Architecture

    torch.set_num_threads(1)
    torch.manual_seed(0)
    architecture = Architecture(
        name="tiny",
        title="Tiny",
        paper="none",
        licence="Apache-2.0",
        build=nn.Identity,
        presets={},
        detect=lambda state: None,
        run=lambda network, signal: signal + 0.1 * network(signal),
    )
    restorer = Restorer(nn.Conv2d(3, 3, 3, padding=1), architecture, {"out_size": SIDE}, Origin("tiny"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "faces"
        folder.mkdir()
        for i in range(count):
            noise = np.random.default_rng(i).integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8)
            Image.fromarray(noise).resize((SIDE, SIDE)).save(folder / f"{i:05d}.png")
        settings = AuditSettings(
            model="tiny", faces=str(folder), eps=("4/255",), steps=2, batch=10, pictures=4, device="cpu"
        )
        start = time.monotonic()
        done = run(settings, Path(place) / "out", restorer=restorer.eval())
        seconds = time.monotonic() - start
        assert done.info["counts"] == {"done": 3 * count, "failed": 0, "left": 0}
    unit = 1024 if sys.platform == "darwin" else 1  # kilobytes everywhere else
    return {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit / 1024, "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(audit(options.one)))
        return 0
    print("| faces | peak RSS, MiB | seconds |\n|---|---|---|", flush=True)
    peaks = []
    for count in (options.few, options.many):
        command = [sys.executable, __file__, "--one", str(count)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        peaks.append(found["mib"])
        print(f"| {count} | {found['mib']:.0f} | {found['seconds']:.0f} |", flush=True)
    print(f"\n{options.many} faces take {peaks[1] / peaks[0]:.3f} times the memory (at most {SLACK}).")
    return 0 if peaks[1] <= SLACK * peaks[0] else 1


if __name__ == "__main__":
    sys.exit(main())
