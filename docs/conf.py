"""How README and docs become a site: ``make docs``. The pages are plain Markdown."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from bakeoff import __version__

project = "Bakeoff"
release = __version__
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "results/README.md", "results/*/README.md"]
exclude_patterns = [".venv", "build", "dist", "src", "tests"]
myst_heading_anchors = 4  # as GitHub makes them
html_theme = "furo"
html_title = "Bakeoff"
html_show_sourcelink = False
html_copy_source = False

# The navigation. Sphinx complains of a page that is in none of these.
NAVIGATION = {
    "Start": ("ten-minutes", "own-model", "for-a-paper", "for-a-class", "faq"),
    "Studies": (
        *("cli", "studies", "data", "models", "recipes", "environments", "gpu", "backends", "contestants"),
        "without-keras",
        *("cluster", "farm"),
    ),
    "Results": (
        *("report", "compare", "profile", "refine", "statistics", "verification", "calibration", "store"),
    ),
    "Background": ("the-study", "architecture", "benchmarks"),
}
BESIDES = (
    "README",
    "CHANGELOG",
    "CONTRIBUTING",
    "results/README",
    *sorted(
        f"results/{page.parent.name}/README" for page in Path(__file__).parents[1].glob("results/*/README.md")
    ),
)


def add_navigation(app: Sphinx, name: str, source: list[str]) -> None:
    """Append the navigation to the first page, which links to all pages in its own words."""
    if name != root_doc:
        return
    groups = {caption: [f"docs/{page}" for page in pages] for caption, pages in NAVIGATION.items()}
    for caption, pages in {**groups, "Repository": BESIDES}.items():
        lines = [f"/{page}" for page in pages]
        head = ["", "```{toctree}", ":hidden:", f":caption: {caption}", ""]
        source[0] += "\n".join([*head, *lines, "```", ""])


def setup(app: Sphinx) -> None:
    """Sphinx's hook."""
    app.connect("source-read", add_navigation)
