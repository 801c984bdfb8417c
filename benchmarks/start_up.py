"""Wall time of `facefort --help`, of a verb's help and of `import facefort`, as whole processes.

python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import facefort": ["-c", "import facefort"],
    "facefort --help": ["-m", "facefort", "--help"],
    "facefort restore --help": ["-m", "facefort", "restore", "--help"],
    "facefort audit --help": ["-m", "facefort", "audit", "--help"],
    "facefort train --help": ["-m", "facefort", "train", "--help"],
    "facefort ls models": ["-m", "facefort", "ls", "models"],
}


def main() -> None:
    print("| command | median ms of 9 |\n|---|---|")
    for name, arguments in COMMANDS.items():
        times = []
        for _ in range(9):
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        print(f"| {name} | {1000 * statistics.median(times):.0f} |")


if __name__ == "__main__":
    main()
