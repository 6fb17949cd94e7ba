"""Results in a notebook: polars frames, verdicts, and charts that are shown without network.

    >>> results = bakeoff.open_results("bakeoff.sqlite")     # doctest: +SKIP
    >>> results.epochs("quick").group_by("backend").agg(pl.col("train_s").mean())   # doctest: +SKIP

Frames are polars'; ``.to_pandas()`` gives pandas' where pandas and pyarrow are installed.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bakeoff import races, report
from bakeoff.calibration import STUDY as CALIBRATION
from bakeoff.errors import StoreError
from bakeoff.races import Comparison, Judgement
from bakeoff.report.contents import compose
from bakeoff.report.formats.figures import with_marks
from bakeoff.report.items import parts
from bakeoff.report.vega import Chart
from bakeoff.store.reader import Reader

# What of a run a record of facts tells; see docs/store.md.
_STAGES = ("asked", "resolved", "observed")


@dataclass(frozen=True)
class Charts(Mapping[str, Chart]):
    """A study's figures by name. A notebook shows all of them, one below the other."""

    by_name: Mapping[str, Chart]

    def __getitem__(self, name: str) -> Chart:
        """The chart of that name."""
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the report."""
        return iter(self.by_name)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.by_name)

    def _repr_html_(self) -> str:
        return "\n".join(
            f"<h4>{html.escape(name)}</h4>\n{chart._repr_svg_()}" for name, chart in self.items()
        )


@dataclass(frozen=True)
class Comparisons:
    """Who may be called faster, pair by pair; the result of `compare`.

    judgement: sections, races and comparisons, with everything that a verdict rests on. Printed, it has a
    sentence for each pair; a notebook shows a table.
    """

    judgement: Judgement

    @property
    def frame(self) -> pl.DataFrame:
        """One row per pair; columns as in ``docs/store.md``."""
        return self.judgement.verdicts

    def __iter__(self) -> Iterator[Comparison]:
        """The comparisons."""
        return (comparison for _, _, comparison in self.judgement)

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)

    def __str__(self) -> str:
        """A sentence for each pair, a line each."""
        return "\n".join(
            f"{section.place_of(race)}: {races.sentence(comparison)}"
            for section, race, comparison in self.judgement
        )

    def _repr_html_(self) -> str:
        heads = ("data set", "comparison", "certificate")
        rows = [
            (
                section.place_of(race),
                races.sentence(comparison),
                comparison.certificate.verdict or "not certified",
            )
            for section, race, comparison in self.judgement
        ]
        return _table(heads, rows)


@dataclass(frozen=True)
class Results:
    """The results in one store. Each call reads what is there then, also while a study runs.

    `study` is a study's name or digest. Where it is None, frames have all runs, and verdicts and charts are
    those of the study begun last. Columns: ``docs/store.md``.
    """

    path: Path

    def studies(self) -> pl.DataFrame:
        """One row per study, the one begun last first."""
        with Reader(self.path) as reader:
            return reader.studies()

    def compare(
        self,
        study: str | None = None,
        *,
        margin: float | None = None,
        error_margin: float | None = None,
        target_error: float | None = None,
    ) -> Comparisons:
        """Who may be called faster; see `bakeoff.compare`."""
        with Reader(self.path) as reader:
            return Comparisons(
                races.judge(
                    reader,
                    study or _last(reader),
                    margin=margin,
                    error_margin=error_margin,
                    target_error=target_error,
                )
            )

    def verdicts(self, study: str | None = None) -> pl.DataFrame:
        """One row per pair of contestants: who is faster, by how much, at what error, with intervals."""
        return self.compare(study).frame

    def charts(self, study: str | None = None) -> Charts:
        """The figures of the report by name, data set by data set, marks behind the names that have some."""
        with Reader(self.path) as reader:
            contents = compose(report.read(reader, study or _last(reader)))
        return Charts(
            {
                f"{part.title}: {item.name}": Chart(with_marks(item.draw(), item.labels))
                for part in parts(contents)
                for item in part.items
                if item.draw
            }
        )

    def runs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run, with its settings, how it ended, and totals over its epochs."""
        with Reader(self.path) as reader:
            return reader.runs(study)

    def epochs(self, study: str | None = None) -> pl.DataFrame:
        """One row per epoch of a run."""
        with Reader(self.path) as reader:
            return reader.epochs(study)

    def phases(self, study: str | None = None) -> pl.DataFrame:
        """One row per phase of a run: import, data, build, first step, training, evaluation, ..."""
        with Reader(self.path) as reader:
            return reader.phases(study)

    def facts(self, study: str | None = None) -> pl.DataFrame:
        """One row per fact of a run: ``stage`` (asked, resolved, observed), ``fact``, ``value`` as text."""
        with Reader(self.path) as reader:
            records = reader.facts(study)
        rows = [
            (number, stage, fact, value)
            for number, *texts in records.with_row_index().select("index", *_STAGES).iter_rows()
            for stage, text in zip(_STAGES, texts, strict=True)
            for fact, value in _leaves(json.loads(text or "{}"))
        ]
        schema = {"index": pl.UInt32, "stage": pl.String, "fact": pl.String, "value": pl.String}
        long = pl.DataFrame(rows, schema, orient="row")
        runs = records.with_row_index().drop(_STAGES)
        return runs.join(long, on="index", maintain_order="left_right").drop("index")

    def inputs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run with a model of the user's own: what the model read, by SHA-256."""
        with Reader(self.path) as reader:
            return reader.inputs(study)

    def outcomes(self, study: str | None = None) -> pl.DataFrame:
        """One row per run: which evaluation images it got wrong, a bit per image."""
        with Reader(self.path) as reader:
            return reader.outcomes(study)

    def certificates(self, study: str | None = None) -> pl.DataFrame:
        """One row per pair of trials that was verified: ``verdict`` (``same``, ``different`` or
        ``not compared``), and ``words``.

        Of kind ``round``: what a synchronous round on a cluster does, against its stated arithmetic. Where
        `study` is None: every certificate ever made, without trials.
        """
        with Reader(self.path) as reader:
            return reader.certificates(study)

    def warnings(self, study: str | None = None) -> pl.DataFrame:
        """One row per warning that a run gave: ``message``, and ``remedy``, what helps."""
        with Reader(self.path) as reader:
            return reader.warnings(study)

    def tasks(self, study: str | None = None) -> pl.DataFrame:
        """One row per attempt of a cluster's task: where its time went, what it trained."""
        with Reader(self.path) as reader:
            return reader.tasks(study)

    def executors(self, study: str | None = None) -> pl.DataFrame:
        """One row per executor of a run on a cluster, and one for its driver."""
        with Reader(self.path) as reader:
            return reader.executors(study)

    def samples(self, study: str | None = None) -> pl.DataFrame:
        """One row per run on a cluster: samples asked for, trained, skipped."""
        with Reader(self.path) as reader:
            return reader.samples(study)

    def _repr_html_(self) -> str:
        columns = ("study", "title", "num_ok", "num_planned", "begun_at")
        rows = [
            (study, title or "", f"{num_ok} of {num_planned}", f"{begun_at:%Y-%m-%d %H:%M}")
            for study, title, num_ok, num_planned, begun_at in self.studies().select(columns).iter_rows()
        ]
        return f"<p>{html.escape(str(self.path))}</p>\n" + _table(("study", "title", "runs", "begun"), rows)


def open_results(path: str | Path = "bakeoff.sqlite") -> Results:
    """The results in the store at `path`.

    Raises:
        StoreError: there is no store that this version can read.
    """
    results = Results(Path(path).expanduser())
    Reader(results.path).close()
    return results


def compare(
    study: str | None = None,
    store: str | Path = "bakeoff.sqlite",
    *,
    margin: float | None = None,
    error_margin: float | None = None,
    target_error: float | None = None,
) -> Comparisons:
    """Who may be called faster in a stored study, by how much and at what error, as ``bakeoff compare``.

    study: its name or digest; None takes the one begun last. margin: times this close are practically equal.
    error_margin: an error that is higher by less is non-inferior. target_error: the error to be reached. All
    are fractions (0.02 is 2 %), and the study's own where they are None.

    Raises:
        StoreError: there is no such store, or no such study in it.
    """
    return open_results(store).compare(
        study, margin=margin, error_margin=error_margin, target_error=target_error
    )


def _last(reader: Reader) -> str:
    """The study begun last; calibrations of the machine stand back."""
    names = [str(name) for name in reader.studies()["study"]]
    if not names:
        raise StoreError(f"{reader.path}: holds no study yet", 'Run one: bakeoff.run("quick")')
    return next((name for name in names if name != CALIBRATION), CALIBRATION)


def _leaves(facts: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str | None]]:
    """Names and values of facts; those in tables of their own as ``table.name``."""
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{name}.")
        elif value is None or isinstance(value, str):
            yield f"{path}{name}", value
        else:
            yield f"{path}{name}", json.dumps(value)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>\n" + "\n".join([line(heads, "th"), *(line(row, "td") for row in rows)]) + "\n</table>"
