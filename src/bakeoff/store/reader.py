"""Data frames of what is in the store, also while it is being written. Columns: ``docs/store.md``.

polars rather than pandas: typed columns with a null beside NaN (a loss that diverged is no loss that
is missing), Parquet, CSV and JSON in one wheel, and ``.to_pandas()`` for those who want it.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

import polars as pl

from bakeoff.errors import StoreError
from bakeoff.metrics import METRICS, OfPhase
from bakeoff.store import columns, lock
from bakeoff.store.database import connect, explained
from bakeoff.store.schema import VERSION, migrate, version_of
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import (
    EpochRecord,
    PhaseEnded,
    Record,
    from_line,
)

_OF_STUDY = (
    "run_id IN (SELECT run_id FROM planned JOIN runs USING (trial_id, repeat, seed)"
    " WHERE planned.study_digest = :digest)"
)

# What is said of trials that one verification serves.
_ALIKE = "the same network, data and steps on the same backend, in the same environment"


@dataclass(frozen=True)
class PastRun:
    """A run that ended well, for estimates of time. Totals over its epochs."""

    settings: TrialSettings
    machine_id: str
    wall_s: float | None
    num_epochs: int
    num_images: int
    train_s: float
    evaluation_s: float
    first_step_s: float | None


class Reader:
    """The store at `path`, read-only; each call sees the store as it is then. A context manager.

    `study` in the methods is a study's name (its form begun last), or its digest or the digest's
    beginning. A study's runs are all that ran what it plans (trial, repeat, seed), whichever study
    they were started for. None: all runs, each under the study that started it.

    Raises:
        StoreError: no such store or study; damaged, newer, or another program's file.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = Path(path).expanduser().resolve()
        self._connection = _open(self.path)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    # ---- frames -------------------------------------------------------------------------------------

    def studies(self) -> pl.DataFrame:
        """One row per study, the one begun last first; ``num_ok`` of ``num_planned`` runs ended well."""
        with self._snapshot():
            return columns.frame(
                self._connection.execute(
                    "SELECT name, digest, title, max(begun_unix_s) AS begun,"
                    " (SELECT count(*) FROM study_trials t WHERE t.study_digest = digest),"
                    " (SELECT count(*) FROM planned p WHERE p.study_digest = digest),"
                    " (SELECT count(*) FROM planned p WHERE p.study_digest = digest AND EXISTS ("
                    "   SELECT 1 FROM runs JOIN run_ends USING (run_id) WHERE status = 'ok'"
                    "   AND (trial_id, repeat, seed) = (p.trial_id, p.repeat, p.seed))),"
                    " document FROM studies LEFT JOIN begins ON study_digest = digest"
                    " GROUP BY digest ORDER BY begun DESC"
                ),
                {
                    "study": pl.String,
                    "digest": pl.String,
                    "title": pl.String,
                    "begun_at": columns.INSTANT,
                    "num_trials": pl.Int64,
                    "num_planned": pl.Int64,
                    "num_ok": pl.Int64,
                    "document": pl.String,
                },
            )

    def runs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run, in the order in which they started."""
        with self._snapshot():
            digest = self._digest(study)
            runs = self._runs(digest)
            totals = self._rows("epochs", {**columns.TOTAL, **columns.sums()}, digest, "GROUP BY run_id")
            phases = self._rows(
                "phases", {name: (name, dtype) for name, dtype in columns.PHASE.items()}, digest
            )
            fields = columns.fields_of_records()
            lines = {kind: self._decoded(kind, digest) for kind in fields}
        stopped = phases.filter(name="stopped").select(
            "run_id", stopped_s="wall_s", stopped_cpu_s=pl.col("user_s") + pl.col("system_s")
        )
        parts = [totals, stopped]
        for name, metric in METRICS.items():
            if isinstance(metric.source, OfPhase):
                mine = phases.filter(name=metric.source.phase).group_by("run_id")
                parts.append(mine.agg(pl.col("wall_s").sum().alias(name)))
        for kind, of_kind in fields.items():
            last = lines[kind].unique("run_id", keep="last", maintain_order=True)
            parts.append(last.select("run_id", **{name: pl.col(of) for name, of in of_kind.items()}))
        frame = runs
        for part in parts:
            frame = frame.join(part, on="run_id", how="left", maintain_order="left")
        error = pl.col("final_validation_error").fill_null(float("nan"))
        throughput = pl.col("num_images") / pl.col("train_s")
        return frame.with_columns(
            pl.col("num_epochs", "num_images").fill_null(0),
            final_validation_error=pl.when(pl.col("num_epochs") > 0).then(error),
            throughput_images_per_s=pl.when(pl.col("train_s") > 0).then(throughput),
        ).select(
            *(
                *columns.WHO,
                *columns.RUNS,
                *(name for name, metric in METRICS.items() if metric.source),
                *columns.MORE,
            ),
            pl.col("^settings\\..*$"),
        )

    def epochs(self, study: str | None = None) -> pl.DataFrame:
        """One row per epoch, run after run in the order in which they started."""
        return self._with_runs("epochs", columns.EPOCH, study)

    def phases(self, study: str | None = None) -> pl.DataFrame:
        """One row per phase of a run, in the order in which they ended."""
        return self._with_runs("phases", columns.PHASE, study).rename({"name": "phase"})

    def outcomes(self, study: str | None = None) -> pl.DataFrame:
        """One row per run that ended its training: which evaluation images it got wrong.

        ``wrong`` is binary, a bit per image: ``numpy.unpackbits(numpy.frombuffer(wrong, "uint8"),
        count=num_images)`` has 1 where the image was misclassified.
        """
        return self._records(study, "outcomes").with_columns(pl.col("wrong").str.decode("base64"))

    def facts(self, study: str | None = None) -> pl.DataFrame:
        """One row per record of facts: ``asked``, ``resolved``, ``observed``, each JSON text."""
        return self._texts(study, "facts", ("asked", "resolved", "observed"))

    def warnings(self, study: str | None = None) -> pl.DataFrame:
        """One row per warning that a run gave: ``message``, ``remedy``."""
        return self._texts(study, "warning", ("message", "remedy"))

    def tasks(self, study: str | None = None) -> pl.DataFrame:
        """One row per attempt of a cluster's task, run after run in the order in which they were reported."""
        return self._records(study, "task")

    def executors(self, study: str | None = None) -> pl.DataFrame:
        """One row per executor of a run on a cluster, and one for its driver."""
        return self._records(study, "executor")

    def samples(self, study: str | None = None) -> pl.DataFrame:
        """One row per run on a cluster: what became of the samples that it should have trained."""
        return self._records(study, "samples")

    def farm_jobs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run on a farm: the job that its block was."""
        return self._records(study, "farm_job").unique("run_id", keep="last", maintain_order=True)

    def certificates(self, study: str | None = None) -> pl.DataFrame:
        """One row per pair of the study's trials that was verified, the last verification first.

        Of several verifications of a pair under the same conditions only the last one counts. Trials that
        share all that is verified are a pair that is the same by itself. None: every certificate ever made,
        with its contestants but without trials. Of kind ``round``: what one synchronous round of a
        distributed trial does, against its stated arithmetic; there is no other trial then.
        """
        names = ("one_subject", "one_environment_digest", "other_subject", "other_environment_digest")
        with self._snapshot():
            made = columns.frame(
                self._connection.execute(
                    f"SELECT made_unix_s, verdict, {', '.join(names)}, machine_id, verification_version,"
                    " document FROM certificates ORDER BY made_unix_s DESC, rowid DESC"
                ),
                {
                    "made_at": columns.INSTANT,
                    "verdict": pl.String,
                    **dict.fromkeys(names, pl.String),
                    "machine_id": pl.String,
                    "verification_version": pl.Int64,
                    "document": pl.String,
                },
            ).with_columns(
                words=pl.col("document").str.json_path_match("$.words").fill_null(""),
                kind=pl.when(pl.col("other_subject") == "").then(pl.lit("round")).otherwise(pl.lit("pair")),
            )
            digest = self._digest(study)
            settings = self._connection.execute(
                "SELECT trial_id, settings FROM study_trials JOIN trials USING (trial_id)"
                " WHERE study_digest = ? ORDER BY study_trials.rowid",
                (digest,),
            ).fetchall()
        shown = (
            *("kind", "one_trial", "other_trial", "verdict", "words", "made_at", *names),
            *("machine_id", "verification_version", "document"),
        )
        if digest is None:
            trial = pl.lit(None, pl.String)
            return made.with_columns(one_trial=trial, other_trial=trial).select(shown)
        trials = [(trial_id, _settings(text)) for trial_id, text in settings]
        subjects = [(trial_id, asked.verified_id) for trial_id, asked in trials]
        on_clusters = [
            (trial_id, asked.verified_round_id) for trial_id, asked in trials if asked.verified_round_id
        ]
        schema = {"one_trial": pl.String, "one_subject": pl.String}
        ones = pl.DataFrame(subjects, schema, orient="row")
        others = ones.rename({"one_trial": "other_trial", "one_subject": "other_subject"})
        either_way = [
            pl.concat_str(f"{who}_subject", f"{who}_environment_digest") for who in ("one", "other")
        ]
        last = made.unique(
            [
                pl.min_horizontal(either_way),
                pl.max_horizontal(either_way),
                "machine_id",
                "verification_version",
            ],
            keep="first",
            maintain_order=True,
        )
        verified = last.join(ones, on="one_subject", maintain_order="left_right")
        verified = verified.join(others, on="other_subject", maintain_order="left_right")
        of_rounds = pl.DataFrame(on_clusters, schema, orient="row")
        rounds = last.join(of_rounds, on="one_subject", maintain_order="left_right")
        rounds = rounds.with_columns(other_trial=pl.lit(None, pl.String)).select(verified.columns)
        alike = [
            {"one_trial": one, "other_trial": other, "one_subject": subject, "other_subject": subject}
            for (one, subject), (other, of_other) in itertools.combinations(subjects, 2)
            if subject == of_other
        ]
        by_itself = pl.DataFrame(alike, verified.schema).with_columns(
            kind=pl.lit("pair"), verdict=pl.lit("same"), words=pl.lit(_ALIKE)
        )
        return pl.concat([verified, rounds, by_itself]).select(shown)

    # ---- values -------------------------------------------------------------------------------------

    def profiles(self, study: str | None = None) -> pl.DataFrame:
        """One row per profile of a contestant, the last first: ``trial_id``, ``label``, ``document``, ..."""
        names = ("trial_id", "label", "machine_id", "environment_digest", "document")
        of_study = "WHERE trial_id IN (SELECT trial_id FROM study_trials WHERE study_digest = :digest)"
        with self._snapshot():
            digest = self._digest(study)
            return columns.frame(
                self._connection.execute(
                    f"SELECT made_unix_s, profile_version, {', '.join(names)} FROM profiles"
                    f" {of_study if digest else ''} ORDER BY made_unix_s DESC, rowid DESC",
                    {"digest": digest},
                ),
                {"made_at": columns.INSTANT, "profile_version": pl.Int64, **dict.fromkeys(names, pl.String)},
            )

    def records(self, run_id: str) -> tuple[tuple[int, Record], ...]:
        """A run's records and their numbers, as they were appended."""
        with self._snapshot():
            found: list[tuple[int, Record]] = [
                (seq, from_line(line))
                for seq, line in self._connection.execute(
                    "SELECT seq, line FROM records WHERE run_id = ?", (run_id,)
                )
            ]
            for table, cls in (("epochs", EpochRecord), ("phases", PhaseEnded)):
                fields = dataclasses.fields(cls)
                names = ", ".join(f.name for f in fields)
                for seq, *row in self._connection.execute(
                    f"SELECT seq, {names} FROM {table} WHERE run_id = ?", (run_id,)
                ):
                    values: list[Any] = [
                        float("nan") if value is None and f.type is float else value
                        for value, f in zip(row, fields, strict=True)
                    ]
                    found.append((seq, cls(*values)))
        return tuple(sorted(found, key=lambda numbered: numbered[0]))

    def done(self, specs: Iterable[RunSpec], conditions: Mapping[str, str]) -> set[tuple[str, int]]:
        """The (trial_id, repeat) of those specs that ended well, with their seed and under their condition.

        conditions: by trial_id, the condition_id that a run started now would have.
        """
        with self._snapshot():
            ok = set(
                self._connection.execute(
                    "SELECT trial_id, repeat, seed, condition_id FROM runs JOIN run_ends USING (run_id)"
                    " WHERE status = 'ok'"
                )
            )
        return {
            (spec.trial_id, spec.repeat)
            for spec in specs
            if (spec.trial_id, spec.repeat, spec.seed, conditions.get(spec.trial_id)) in ok
        }

    def peak_memory(self, trials: Iterable[TrialSettings]) -> dict[str, int]:
        """By trial_id, the most bytes that one of its runs took, in whichever order; where one is known."""
        runs = self.runs().group_by("trial_id").agg(pl.col("peak_memory_bytes").max())
        known = dict(runs.drop_nulls().iter_rows())
        peaks = {}
        for trial in trials:
            alone = dataclasses.replace(trial, order="sequential", turn_steps=None).trial_id
            if found := known.keys() & {trial.trial_id, alone}:
                peaks[trial.trial_id] = max(known[trial_id] for trial_id in found)
        return peaks

    def num_of_unknown_content(self, settings: Iterable[TrialSettings]) -> int:
        """Runs that ended well and ask for the same as one of these, but were named by less than they need.

        Older versions named own models and data by one file's text, or a folder's bytes.
        """
        asked = {_request(setting) for setting in settings if setting.content}
        with self._snapshot():
            rows = self._connection.execute(
                "SELECT settings, count(*) FROM trials JOIN runs USING (trial_id)"
                " JOIN run_ends USING (run_id) WHERE status = 'ok' GROUP BY trial_id"
            ).fetchall()
        stored = [(_settings(text), number) for text, number in rows]
        return sum(
            number
            for one, number in stored
            if not all(":" in digest for digest in one.content.values() or [""]) and _request(one) in asked
        )

    def inputs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run with a model of the user's own: ``files``, JSON, what it read, by SHA-256."""
        return self._texts(study, "inputs", ("files",))

    def history(self) -> tuple[PastRun, ...]:
        """All runs that ended well, oldest first."""
        runs = self.runs().filter(pl.col("status") == "ok", pl.col("num_epochs") > 0)
        with self._snapshot():
            settings = {
                trial_id: _settings(text)
                for trial_id, text in self._connection.execute("SELECT trial_id, settings FROM trials")
            }
        names = [f.name for f in dataclasses.fields(PastRun) if f.name != "settings"]
        return tuple(
            PastRun(settings=settings[trial_id], **dict(zip(names, row, strict=True)))
            for trial_id, *row in runs.select("trial_id", *names).iter_rows()
        )

    def copy_to(self, path: Path) -> None:
        """Write a copy of the whole store, as of now, to a new SQLite file."""
        with explained(self.path, f"copying to {path}"):
            copy = sqlite3.connect(path)
            try:
                self._connection.backup(copy)
            finally:
                copy.close()

    # ---- details ------------------------------------------------------------------------------------

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """The body's queries all see the same moment."""
        with explained(self.path, "reading"):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    def _digest(self, study: str | None) -> str | None:
        if study is None:
            return None
        rows = self._connection.execute(
            "SELECT digest, name FROM studies LEFT JOIN begins ON study_digest = digest"
            " ORDER BY begun_unix_s DESC"
        ).fetchall()
        named: list[str] = [digest for digest, name in rows if name == study]
        abbreviated: set[str] = {digest for digest, _ in rows if study and digest.startswith(study)}
        if not named and len(abbreviated) != 1:
            names = sorted({name for _, name in rows})
            close = difflib.get_close_matches(study, names, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"It has: {', '.join(names) or 'none yet'}."
            raise StoreError(f"{self.path}: expected a study that was run; got `{study}`", hint)
        return named[0] if named else abbreviated.pop()

    def _runs(self, digest: str | None) -> pl.DataFrame:
        """One row per run with what is stored about it and its settings."""
        source = "runs r ON (r.study_digest, r.trial_id) = (l.study_digest, l.trial_id)"
        if digest is not None:
            source = (
                "planned p ON (p.study_digest, p.trial_id) = (l.study_digest, l.trial_id)"
                " JOIN runs r ON (r.trial_id, r.repeat, r.seed) = (p.trial_id, p.repeat, p.seed)"
            )
        cursor = self._connection.execute(
            f"SELECT {', '.join(sql for sql, _ in columns.RUN.values())}"
            f" FROM studies s JOIN study_trials l ON l.study_digest = s.digest JOIN {source}"
            " JOIN conditions c ON c.condition_id = r.condition_id"
            " LEFT JOIN run_ends e ON e.run_id = r.run_id"
            " WHERE :digest IS NULL OR s.digest = :digest ORDER BY r.started_unix_s, r.run_id",
            {"living": lock.living_session(self.path), "digest": digest},
        )
        runs = columns.frame(cursor, {name: dtype for name, (_, dtype) in columns.RUN.items()})
        details, planned = pl.col("machine_details"), self._planned_blocks()
        of_study, of_begin = (
            pl.col(name).replace_strict(planned, default=None, return_dtype=pl.Int64)
            for name in ("study_digest", "begun_for")
        )
        runs = runs.with_columns(planned_blocks=of_study, begun_for_blocks=of_begin).drop("begun_for")
        return runs.join(self._trials(), on="trial_id", how="left", maintain_order="left").with_columns(
            machine=pl.coalesce(details.str.json_path_match("$.description"), pl.col("machine_id")),
            disturbed=pl.col("disturbance").str.json_path_match("$.disturbed") == "true",
        )

    def _planned_blocks(self) -> dict[str, int | None]:
        """By study, how many blocks it planned beforehand; 0 where they are added until all is decided."""
        planned = {}
        for digest, text in self._connection.execute("SELECT digest, document FROM studies"):
            document = json.loads(text)
            until_decided = (document.get("rules") or {}).get("is_sequential", False)
            planned[digest] = 0 if until_decided else document.get("repeats")
        return planned

    def _trials(self) -> pl.DataFrame:
        """One row per trial: trial_id, the settings that everybody asks for, the others as ``settings.*``."""
        rows = self._connection.execute("SELECT trial_id, settings FROM trials").fetchall()
        settings = [_settings(text) for _, text in rows]
        found = [pl.Series("trial_id", [trial_id for trial_id, _ in rows], dtype=pl.String)]
        for name, dtype in columns.SETTINGS.items():
            values = [
                json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value
                for value in (getattr(asked, name) for asked in settings)
            ]
            found.append(pl.Series(name if name in columns.WHO else f"settings.{name}", values, dtype=dtype))
        return pl.DataFrame(found)

    def _with_runs(
        self, table: str, schema: Mapping[str, Any], study: str | None, only: str = ""
    ) -> pl.DataFrame:
        """The rows of a table, in the order of `seq`, beside what tells their runs apart."""
        with self._snapshot():
            digest = self._digest(study)
            who = self._runs(digest).select(columns.WHO)
            wanted = {name: (name, dtype) for name, dtype in schema.items()}
            rows = self._rows(table, wanted, digest, f"{only} ORDER BY run_id, seq")
        numbers = pl.col([name for name in columns.NEVER_NULL if name in schema]).fill_null(float("nan"))
        return who.join(rows.with_columns(numbers), on="run_id", maintain_order="left_right")

    def _rows(
        self, table: str, wanted: Mapping[str, tuple[str, Any]], digest: str | None, tail: str = ""
    ) -> pl.DataFrame:
        """Columns, given as SQL and type, of all rows of a table that belong to the study's runs."""
        selected = ", ".join(sql for sql, _ in wanted.values())
        cursor = self._connection.execute(
            f"SELECT {selected} FROM {table} WHERE (:digest IS NULL OR {_OF_STUDY}) {tail}",
            {"digest": digest},
        )
        return columns.frame(cursor, {name: dtype for name, (_, dtype) in wanted.items()})

    def _texts(self, study: str | None, kind: str, fields: Sequence[str]) -> pl.DataFrame:
        """The records of a kind, their fields as text."""
        frame = self._with_runs("records", columns.LINE, study, f"AND kind = '{kind}'")
        line = pl.col("line")
        return frame.select(
            *columns.WHO, *(line.str.json_path_match(f"$.{name}").alias(name) for name in fields)
        )

    def _records(self, study: str | None, kind: str) -> pl.DataFrame:
        """The records of a kind, a column for each field, beside what tells their runs apart."""
        with self._snapshot():
            digest = self._digest(study)
            who = self._runs(digest).select(columns.WHO)
            rows = self._decoded(kind, digest)
        return who.join(rows, on="run_id", maintain_order="left_right")

    def _decoded(self, kind: str, digest: str | None) -> pl.DataFrame:
        """run_id and fields of the records of a kind, in the order of `seq` within a run."""
        wanted = {name: (name, dtype) for name, dtype in columns.LINE.items()}
        lines = self._rows("records", wanted, digest, f"AND kind = '{kind}' ORDER BY run_id, seq")
        schema = columns.LINES[kind]
        # The wire writes NaN and infinities as words: floats are read as text, which polars can turn.
        floats = [name for name, dtype in schema.items() if dtype == pl.Float64]
        as_read = pl.Struct({name: pl.String if name in floats else dtype for name, dtype in schema.items()})
        fields = lines.select("run_id", fields=pl.col("line").str.json_decode(as_read)).unnest("fields")
        return fields.with_columns(pl.col(floats).cast(pl.Float64)).rename(columns.OF_TASK, strict=False)


def _open(path: Path) -> sqlite3.Connection:
    """A read-only connection to a store; one of an older version is migrated in memory."""
    if not path.is_file():
        raise StoreError(f"{path}: no store there", "Run a study first, or name the store that it wrote.")
    with explained(path, "opening to read"):
        connection = connect(path, "ro")
        try:
            try:
                version = version_of(connection, path)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
                connection.close()
                connection = _open_unshared(path)
                version = version_of(connection, path)
            if version == 0:
                raise StoreError(f"{path}: nothing is stored there yet", "Run a study first.")
            if version == VERSION:
                return connection
            copy = sqlite3.connect(":memory:", isolation_level=None)
            connection.backup(copy)
            migrate(copy)
            connection.close()
            return copy
        except BaseException:
            connection.close()
            raise


def _open_unshared(path: Path) -> sqlite3.Connection:
    """A store in a folder that we can't write in, where SQLite can't keep its index of the log."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        raise StoreError(
            f"{path}: its last records are in {log.name}, which can't be read in a read-only folder",
            "Copy both files to a folder that you may write, and read them there.",
        )
    return connect(path, "ro&immutable=1")


def _request(settings: TrialSettings) -> str:
    """What was asked, own files by their names alone."""
    plain = dataclasses.replace(
        settings,
        model=PurePath(settings.model).name,
        dataset=PurePath(settings.dataset).name,
        contestant=PurePath(settings.contestant).name,
        content={},
        time_limit_s=None,
    )
    return json.dumps(dataclasses.asdict(plain), sort_keys=True)


def _settings(text: str) -> TrialSettings:
    """Stored settings; what another version of Bakeoff added is left out, what it lacked is default."""
    return TrialSettings(
        **{name: value for name, value in json.loads(text).items() if name in columns.SETTINGS}
    )
