"""One study's data frames, and which of its runs may share a mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from bakeoff.errors import ReportError


class Source(Protocol):
    """What `bakeoff.store.Reader` offers a report."""

    def studies(self) -> pl.DataFrame: ...
    def runs(self, study: str | None = None) -> pl.DataFrame: ...
    def epochs(self, study: str | None = None) -> pl.DataFrame: ...
    def facts(self, study: str | None = None) -> pl.DataFrame: ...
    def warnings(self, study: str | None = None) -> pl.DataFrame: ...
    def phases(self, study: str | None = None) -> pl.DataFrame: ...
    def tasks(self, study: str | None = None) -> pl.DataFrame: ...
    def executors(self, study: str | None = None) -> pl.DataFrame: ...
    def samples(self, study: str | None = None) -> pl.DataFrame: ...
    def farm_jobs(self, study: str | None = None) -> pl.DataFrame: ...
    def outcomes(self, study: str | None = None) -> pl.DataFrame: ...
    def certificates(self, study: str | None = None) -> pl.DataFrame: ...
    def profiles(self, study: str | None = None) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Frames:
    """Everything that the store knows of one study; columns as in ``docs/store.md``.

    runs: one row per run. epochs: one row per epoch. facts, warnings: may be empty. num_planned: runs
    that the study asks for; None if unknown. others: names of the store's other studies. document: the
    whole study as JSON; empty if unknown. phases: one row per phase of a run. outcomes: which images each run
    got wrong in the end; certificates: which pairs of contestants were verified; either may be empty. tasks,
    executors, samples: of runs on a cluster; empty where none was distributed. farm_jobs: of runs through a
    resource manager; empty without one. profiles: of its trials, the last first. calibrations: runs of
    calibrations, the last calibration first; None if nobody looked for them.
    """

    study: str
    runs: pl.DataFrame
    epochs: pl.DataFrame
    facts: pl.DataFrame = field(default_factory=pl.DataFrame)
    warnings: pl.DataFrame = field(default_factory=pl.DataFrame)
    title: str = ""
    num_planned: int | None = None
    others: tuple[str, ...] = ()
    document: str = ""
    phases: pl.DataFrame = field(default_factory=pl.DataFrame)
    tasks: pl.DataFrame = field(default_factory=pl.DataFrame)
    executors: pl.DataFrame = field(default_factory=pl.DataFrame)
    samples: pl.DataFrame = field(default_factory=pl.DataFrame)
    farm_jobs: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcomes: pl.DataFrame = field(default_factory=pl.DataFrame)
    certificates: pl.DataFrame = field(default_factory=pl.DataFrame)
    profiles: pl.DataFrame = field(default_factory=pl.DataFrame)
    calibrations: pl.DataFrame | None = None


def read(source: Source | Frames, study: str | None = None) -> Frames:
    """The frames of a study: of the one begun last, unless `study` names another.

    Raises:
        StoreError: the store does not know the study.
    """
    if isinstance(source, Frames):
        return source
    studies = source.studies()
    names = list(dict.fromkeys(studies["study"].to_list()))
    if study is None and not names:
        return Frames("", source.runs(), source.epochs())
    chosen = study or names[0]
    row = studies.filter((pl.col("study") == chosen) | pl.col("digest").str.starts_with(chosen)).head(1)
    name = row["study"][0] if len(row) else chosen
    runs = source.runs(chosen)
    seldom = ("tasks", "executors", "samples") if len(distributed(runs)) else ()
    if runs["machine_details"].str.json_path_match("$.node").is_not_null().any():
        seldom = (*seldom, "farm_jobs")
    return Frames(
        study=name,
        runs=runs,
        epochs=source.epochs(chosen),
        facts=source.facts(chosen),
        warnings=source.warnings(chosen),
        phases=source.phases(chosen),
        outcomes=source.outcomes(chosen),
        certificates=source.certificates(chosen),
        profiles=source.profiles(chosen),
        title=row["title"][0] or "" if len(row) else "",
        num_planned=row["num_planned"][0] if len(row) else None,
        others=tuple(other for other in names if other != name),
        document=row["document"][0] or "" if len(row) and "document" in row.columns else "",
        **{frame: getattr(source, frame)(chosen) for frame in seldom},
    )


def distributed(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs whose work was spread over a cluster."""
    column = "settings.distribution"
    return runs.filter(pl.col(column) != "single") if column in runs.columns else runs.clear()


def short_of_samples(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs that trained fewer samples than they were asked to, without saying so."""
    if not {"samples_asked", "samples_trained", "samples_skipped"} <= set(runs.columns):
        return runs.clear()
    skipped = pl.col("samples_skipped") > 0
    return runs.filter(skipped | (pl.col("samples_trained") < pl.col("samples_asked")))


@dataclass(frozen=True)
class Selection:
    """The runs that may share a mean, and those that must not.

    ok: runs that ended well under the chosen conditions, one per trial and repeat. chosen: the
    study's other runs under these conditions, however they ended. left_out: runs under other
    conditions, whatever became of them.
    """

    ok: pl.DataFrame
    chosen: pl.DataFrame
    left_out: pl.DataFrame


def select(runs: pl.DataFrame) -> Selection:
    """Split runs by condition: one machine and measurement version, and in it one form of each environment.

    On a cluster, one Java, too.

    Of several, those with the most runs that ended well; of equals, the one used last.

    Raises:
        ReportError: the frame lacks columns that a report needs.
    """
    needed = {"machine_id", "measurement_version", "environment", "environment_digest", "status", "trial_id"}
    if missing := sorted(needed - set(runs.columns)):
        raise ReportError(
            f"the frame of runs lacks {', '.join(missing)}", "Take it from Reader.runs(), unchanged."
        )
    details = "environment_details" in runs.columns
    java = pl.col("environment_details").str.json_path_match("$.java") if details else pl.lit(None, pl.String)
    indexed = runs.with_row_index("_order").with_columns(_java=java)
    here = _most(indexed, ["machine_id", "measurement_version"], [])
    inside = indexed.join(here, on=["machine_id", "measurement_version"], how="semi", nulls_equal=True)
    forms = _most(inside, ["environment", "environment_digest"], ["environment"])
    chosen = inside.join(forms, on=["environment", "environment_digest"], how="semi", nulls_equal=True)
    javas = _most(distributed(chosen), ["environment", "_java"], ["environment"])
    other_java = distributed(chosen).join(javas, on=["environment", "_java"], how="anti", nulls_equal=True)
    chosen = chosen.join(other_java, on="_order", how="anti")
    # A run whose environment could not be made has no digest: a failure, not another condition.
    unmade = inside.filter((pl.col("environment_digest") == "") & (pl.col("status") != "ok"))
    chosen = pl.concat([chosen, unmade]).unique("_order", maintain_order=True).sort("_order")
    left_out = indexed.join(chosen, on="_order", how="anti").sort("_order")
    ok = chosen.filter(pl.col("status") == "ok").unique(
        ["trial_id", "repeat"], keep="last", maintain_order=True
    )
    return Selection(*(frame.drop("_order", "_java") for frame in (ok, chosen, left_out)))


def apart(run: Mapping[str, Any], machine_id: str | None, measurement_version: int | None) -> str:
    """In what the conditions of a run, a row of `runs`, differ from others; else its environment does."""
    why = []
    if run["machine_id"] != machine_id:
        details = parsed(run.get("machine_details"))
        older = "cpu_model" in details and "cpu_numbers" not in details
        why.append(
            "a machine of which an older Bakeoff did not note the processor's family and instructions"
            if older
            else "another machine"
        )
    if run["measurement_version"] != measurement_version:
        why.append(f"measurement version {run['measurement_version']}")
    form = f"another form of environment {run['environment']}"
    form += ", or another Java" if run.get("settings.distribution", "single") != "single" else ""
    return ", ".join(why) or form


def _most(runs: pl.DataFrame, keys: list[str], within: list[str]) -> pl.DataFrame:
    """The combination of keys with the most good runs, for each value of `within`."""
    counted = runs.group_by(keys).agg(num_ok=(pl.col("status") == "ok").sum(), last=pl.col("_order").max())
    ranked = counted.sort(["num_ok", "last"], descending=True)
    best = ranked.unique(within, keep="first", maintain_order=True) if within else ranked.head(1)
    return best.select(keys)


def plain(value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return "-".join(plain(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or "none"
    return str(value)


def parted(frame: pl.DataFrame, trial_ids: Iterable[str]) -> dict[str, pl.DataFrame]:
    """The rows of each of these trials, by trial_id, cut in one pass; empty frames where there are none."""
    parts = frame.partition_by("trial_id", as_dict=True)
    return {trial_id: parts.get((trial_id,), frame.clear()) for trial_id in trial_ids}


def commonest(values: Sequence[Any]) -> Any:
    """The value that most have, of any of JSON's types."""
    counts = Counter(json.dumps(value) for value in values)
    return json.loads(counts.most_common(1)[0][0])


def observed_of(facts: pl.DataFrame, runs: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """By run, what was seen to run."""
    if not len(facts):
        return {}
    mine = facts.join(runs, on="run_id", how="semi").select("run_id", "observed")
    return {run_id: parsed(text) for run_id, text in mine.iter_rows()}


def parsed(text: str | None) -> dict[str, Any]:
    """A JSON object that the store keeps as text; empty if there is none."""
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}
