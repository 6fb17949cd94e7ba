"""Draws every report and table under results/ anew from its bundle: ``make results``.

What is drawn depends on bundle and program alone: a report's date is that of its last run. So a committed
file that differs from a fresh one shows something that today's program would not say.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bakeoff import report
from bakeoff.errors import BakeoffError
from bakeoff.report import Frames, Options
from bakeoff.store.bundle import import_bundle
from bakeoff.store.reader import Reader

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"


@dataclass(frozen=True)
class Drawing:
    """What results/ shows of one study.

    bundle: where its runs are, below results/. study: its name in there. has_tables: whether its tables
    stand beside the report as text, too.
    """

    bundle: str
    study: str
    name: str
    has_tables: bool = True

    @property
    def report(self) -> str:
        """The report's path below results/."""
        return str(Path(self.bundle).with_name(f"{self.name}-report.html"))

    @property
    def tables(self) -> str:
        """The tables' path below results/."""
        return str(Path(self.bundle).with_name(f"{self.name}-tables.md"))


# Everything under results/ that is drawn.
DRAWINGS = (
    Drawing("three-epochs.bundle.zip", "full-3", "full-3"),
    Drawing("three-epochs.bundle.zip", "vintage-3", "vintage-3"),
    Drawing("cluster/table-1.bundle.zip", "table-1", "table-1"),
    Drawing("cluster/table-1-today.bundle.zip", "table-1-today", "table-1-today"),
    Drawing("cluster/data.bundle.zip", "data", "data"),
    Drawing("verdicts/cost.bundle.zip", "study-question", "study-question"),
    Drawing("verdicts/cost.bundle.zip", "closest-today", "closest-today"),
    Drawing("memory/memory.bundle.zip", "memory-torch", "torch", has_tables=False),
    Drawing("memory/memory.bundle.zip", "memory-jax", "jax", has_tables=False),
    Drawing("gpu/gpu.bundle.zip", "gpu", "gpu"),
    Drawing("quick/quick.bundle.zip", "quick", "quick"),
    Drawing("quick/quick-distributed.bundle.zip", "quick-distributed", "quick-distributed"),
    Drawing("keras-cost/keras-cost.bundle.zip", "keras-cost", "keras-cost"),
    Drawing("sweep/sweep.bundle.zip", "sweep", "sweep"),
    Drawing("refine/jax.bundle.zip", "refine-458f9fac-confirmation", "jax", has_tables=False),
    Drawing("refine/torch.bundle.zip", "refine-e341c9cd-confirmation", "torch", has_tables=False),
    Drawing("refine/tensorflow.bundle.zip", "refine-b56e7b01-confirmation", "tensorflow", has_tables=False),
)


def frames_of(drawing: Drawing, folder: Path) -> Frames:
    """The study's frames, from its bundle in a store that is made in `folder` if it is not there yet."""
    store = folder / f"{drawing.bundle.replace('/', '-')}.sqlite"
    if not store.exists():
        import_bundle(store, RESULTS / drawing.bundle)
    with Reader(store) as reader:
        return report.read(reader, drawing.study)


def draw_report(drawing: Drawing, frames: Frames) -> str:
    """The report's HTML."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        report.render(frames, page, options=Options(generated_at=frames.runs["started_at"].max()))  # type: ignore[arg-type]
        return page.read_text(encoding="utf-8")


def draw_tables(frames: Frames) -> str:
    """The report's tables in Markdown."""
    return "\n".join(map(report.to_markdown, report.tables(frames)))


def drawn() -> Iterator[tuple[str, str]]:
    """Path below results/ and text of everything that is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        for drawing in DRAWINGS:
            frames = frames_of(drawing, Path(folder))
            yield drawing.report, draw_report(drawing, frames)
            if drawing.has_tables:
                yield drawing.tables, draw_tables(frames)


def main() -> int:
    """Write what differs; 0."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, text in drawn():
        path = RESULTS / name
        differs = not path.exists() or path.read_text(encoding="utf-8") != text
        if differs:
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'drawn anew' if differs else 'as it was'}", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BakeoffError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
