"""Takes README's picture, the first screen of a committed report, with Chromium: ``make results``.

The picture says which report it shows, by its SHA-256: it is taken anew when the report has changed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "results" / "full-3-report.html"
PICTURE = ROOT / "docs" / "report.png"
WIDTH, HEIGHT = 1440, 900  # pixels
_KEY = "report-sha256"


def digest() -> str:
    """SHA-256 of the report as it is."""
    return hashlib.sha256(REPORT.read_bytes()).hexdigest()


def shown() -> str | None:
    """SHA-256 of the report that the picture shows; None without a picture."""
    if not PICTURE.exists():
        return None
    with Image.open(PICTURE) as picture:
        return picture.info.get(_KEY)


def take(chromium: str) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        screen = Path(folder) / "screen.png"
        subprocess.run(
            [
                *(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"),
                *("--virtual-time-budget=20000", f"--screenshot={screen}", REPORT.as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        about = PngInfo()
        about.add_text(_KEY, digest())
        with Image.open(screen) as image:
            image.convert("RGB").quantize(128).save(PICTURE, optimize=True, pnginfo=about)


def main() -> int:
    """Take the picture if the report has changed; 0, or 1 where there is no browser."""
    if shown() == digest():
        print(f"{PICTURE.relative_to(ROOT)}: as it was")
        return 0
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("hint: install Chromium, and run `make results` again for README's picture", file=sys.stderr)
        return 1
    take(chromium)
    print(f"{PICTURE.relative_to(ROOT)}: taken anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
