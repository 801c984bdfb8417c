"""The page in a real browser: the slider follows the keyboard, and nothing complains."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from facefort.report import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--dump-dom",
)  # fmt: skip
STEP_RIGHT = """
const input = document.querySelector(".slider input");
input.focus();
input.stepUp(7);
input.dispatchEvent(new Event("input"));
document.title = document.activeElement.type + " " + input.parentElement.style.getPropertyValue("--at");
"""


def dump(page: Path, profile: Path) -> tuple[str, str]:
    """The page's elements after its script ran, and what the browser logged."""
    command = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize("name", ["audit_run", "restore_run"])
def test_the_script_runs_without_complaint(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    html, log = dump(write_page(request.getfixturevalue(name)), tmp_path / "profile")
    # The hash of the policy covers the script: only a script that was allowed to run sets the seams.
    assert re.search(r'class="slider" style="[^"]*--at: 50%', html)
    assert "CONSOLE" not in log


def test_the_seam_follows_a_step_of_the_focused_slider(audit_run: Path, tmp_path: Path) -> None:
    page = write_page(audit_run)
    html = page.read_text(encoding="utf-8")
    # A second script needs another policy than the page's own, which forbids it.
    html = re.sub(r"script-src '[^']+'", "script-src 'unsafe-inline'", html)
    page.write_text(html.replace("</body>", f"<script>{STEP_RIGHT}</script></body>"), encoding="utf-8")
    dumped, _ = dump(page, tmp_path / "profile")
    assert "<title>range 57%</title>" in dumped
