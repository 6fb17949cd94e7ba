"""Tables as plain text cells, and their Markdown and LaTeX; HTML is made by the page's template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from bakeoff import registry, stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, NO_VALUE, RATIO
from bakeoff.races.definitions import DIFFERENT, Comparison, Contestant
from bakeoff.races.frames import parsed, plain, short_of_samples
from bakeoff.races.marks import Label, Mark, marks_of
from bakeoff.races.sections import Section, error_table
from bakeoff.races.sentences import answer
from bakeoff.report.contents import FAILED, Contents
from bakeoff.report.drawn import notes

_UNLIKE = {DIFFERENT: "no: they differ"}


@dataclass(frozen=True)
class Column:
    """A column: its heading, and whether its cells are numbers, which line up at the right."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Cells as text.

    name: for file names and anchors. rows: contestants' names as labels, with their marks; marks_within: of
    names within sentences. grouped: rows that
    begin alike belong together. remark: what to know when reading it. anchors: by first cell, the name
    under which a page can link to its group of rows.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    grouped: bool = False
    remark: str = ""
    anchors: Mapping[str, str] = field(default_factory=dict)
    marks_within: tuple[Mark, ...] = ()

    @property
    def note(self) -> str:
        """What stands below the table; empty where nothing needs to."""
        return " ".join(filter(None, (self.remark, notes(self.marks, warnings=False))))

    @property
    def warning(self) -> str:
        """What stands below the table in red; empty where nothing needs to."""
        return notes(self.marks, warnings=True)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Of the contestants in it."""
        found = {*self.marks_within, *marks_of(cell for row in self.rows for cell in row)}
        return tuple(mark for mark in Mark if mark in found)

    def with_remark(self, remark: str) -> Table:
        """The table with one more sentence below it; itself where that is empty."""
        return replace(self, remark=" ".join(filter(None, (self.remark, remark)))) if remark else self

    @property
    def groups(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """First cells with the rest of the rows that share them, in order."""
        found: list[tuple[str, list[tuple[str, ...]]]] = []
        for first, *rest in self.rows:
            if self.grouped and found and found[-1][0] == first:
                found[-1][1].append(tuple(rest))
            else:
                found.append((first, [tuple(rest)]))
        return found


# ---- what the tables say ------------------------------------------------------------------------


def summary(section: Section) -> Table:
    """Mean, interval, spread and range of every metric, for every contestant of a section."""
    rows: list[tuple[str, ...]] = []
    counts = counts_of(section)
    by_trial = {one.trial_id: section.runs.filter(trial_id=one.trial_id) for one in section.contestants}
    parts = ("mean", "low", "high", "sd", "minimum", "maximum")
    for name, metric in METRICS.items():
        if not metric.in_summary:
            continue
        samples = [
            (label, contestant, stats.summarize(values, bounds=metric.bounds))
            for contestant in section.contestants
            for label, values in samples_of(by_trial[contestant.trial_id], contestant, name)
        ]
        if all(one.num == 0 for *_, one in samples) and name != "train_s":
            continue
        # One number of decimals for the whole metric, so that its columns compare at a glance.
        texts = iter(metric.texts([getattr(one, part) for *_, one in samples for part in parts]))
        variances = metric.squares([one.variance for *_, one in samples])
        for (label, contestant, one), variance in zip(samples, variances, strict=True):
            mean, low, high, sd, minimum, maximum = (next(texts) for _ in parts)
            failed, skipped = counts.get(contestant.trial_id, (0, 0))
            measured = (str(one.num), mean, interval_text(low, high), sd, variance, minimum, maximum)
            rows.append((metric.heading, label, *measured, str(failed), str(skipped)))
    numbers = ("Repeats", "Mean", "95 % interval", "SD", "Variance", "Min", "Max", "Failed", "Skipped")
    columns_shown = (Column("Metric", False), Column("Contestant", False), *map(Column, numbers))
    return Table(
        f"summary-{slug(section.title)}",
        f"Results on {section.title}",
        columns_shown,
        tuple(rows),
        grouped=True,
    )


def _kind(comparison: Comparison) -> str:
    if comparison.refusal:
        return "not compared"
    return "growth of cost" if comparison.growth else answer(comparison.verdict)


def verdicts(section: Section) -> Table:
    """Every pair of contestants that raced: who is faster, by how much, and at what difference of error."""
    several = len(section.races) > 1
    rows = []
    for race in section.races:
        for one in race.comparisons:
            ratio, error = one.verdict.time, one.verdict.error
            times = RATIO.texts([ratio.ratio, ratio.low, ratio.high])
            parts = ("difference", "low", "high", "test_set_se")
            differences = ERROR_DIFFERENCE.texts([getattr(error, part, None) for part in parts])
            cells = (
                one.first.short,
                one.second.short,
                _kind(one),
                times[0],
                interval_text(times[1], times[2]),
                str(ratio.num_blocks),
                differences[0],
                interval_text(differences[1], differences[2]),
                differences[3],
                one.track,
                "yes"
                if one.certificate.is_same
                else f"{Mark.UNCERTIFIED.symbol} {_UNLIKE.get(one.certificate.verdict, 'no')}",
            )
            rows.append((race.setting or "main", *cells) if several else cells)
    columns = (
        Column("Contestant", False),
        Column("Against", False),
        Column("Training is", False),
        Column("Ratio of times"),
        Column("95 % interval"),
        Column("Blocks"),
        Column("Error difference (pp)"),
        Column("95 % interval"),
        Column("Test-set SE (pp)"),
        Column("Track", False),
        Column("Certified", False),
    )
    return Table(
        f"verdicts-{slug(section.title)}",
        f"Pairwise verdicts on {section.title}",
        (Column("Setting", False), *columns) if several else columns,
        tuple(rows),
        grouped=several,
    )


def plateaus(section: Section) -> dict[str, stats.Plateau]:
    """By contestant of the main race: where its error stops improving."""
    epochs = section.epochs_of(section.races[0])
    return {
        contestant.short: stats.plateau(error_table(epochs.filter(contestant=contestant.short)))
        for contestant in section.races[0].contestants
    }


def plateau_table(section: Section, found: Mapping[str, stats.Plateau]) -> Table:
    """The epoch from which each contestant's error no longer improves."""
    tolerances = METRICS["validation_error"].texts([one.tolerance for one in found.values()])
    rows = tuple(
        (name, NO_VALUE if one.epoch is None else str(one.epoch), tolerance, one.reason)
        for (name, one), tolerance in zip(found.items(), tolerances, strict=True)
    )
    columns = (
        Column("Contestant", False),
        Column("No more improvement from epoch"),
        Column("Tolerance (pp)"),
        Column("Remark", False),
    )
    title = f"Where the error stops improving on {section.title}"
    return Table(f"plateau-{slug(section.title)}", title, columns, rows)


def troubles(contents: Contents) -> Table:
    """Every run that did not end well: how, why, and the last lines of its output."""
    rows = []
    chosen = contents.selection.chosen
    short = set(short_of_samples(chosen)["run_id"]) if len(chosen) else set()
    succeeded = set(contents.selection.ok.select("trial_id", "repeat").iter_rows()) if len(chosen) else set()
    for section in contents.sections:
        for row in section.attempts.filter(pl.col("status") != "ok").iter_rows(named=True):
            later = (row["trial_id"], row["repeat"]) in succeeded
            rows.append(
                (
                    Label(row["label"], [Mark.SHORT] * (row["run_id"] in short)),
                    str(row["repeat"]),
                    row["status"].replace("_", " ") + (", later ok" if later else ""),
                    row["reason"] or NO_VALUE,
                    (row["last_lines"] or "").strip() or NO_VALUE,
                )
            )
    columns = (
        Column("Trial", False),
        Column("Repeat"),
        Column("Status", False),
        Column("Reason", False),
        Column("Last lines", False),
    )
    return Table("troubles", "Runs that did not end well", columns, tuple(rows))


def disturbed(contents: Contents) -> Table:
    """Runs during which the machine did other things too; they count, and are marked."""
    runs = contents.selection.ok
    flagged = runs.filter(pl.col("disturbed")) if "disturbed" in runs.columns else runs.clear()
    short = set(short_of_samples(flagged)["run_id"]) if len(flagged) else set()
    rows = tuple(
        (
            Label(row["label"], [Mark.SHORT] * (row["run_id"] in short)),
            str(row["repeat"]),
            _disturbance(parsed(row["disturbance"])),
        )
        for row in flagged.iter_rows(named=True)
    )
    columns = (Column("Trial", False), Column("Repeat"), Column("What was seen", False))
    return Table("disturbed", "Disturbed runs", columns, rows)


def _disturbance(values: Mapping[str, Any]) -> str:
    reasons = values.get("reasons")
    return "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else _words(values)


def warnings(contents: Contents) -> Table:
    """What runs warned of, each once, with how many runs said it."""
    frame, chosen = contents.frames.warnings, contents.selection.chosen
    rows: tuple[tuple[str, ...], ...] = ()
    if len(frame) and len(chosen):
        mine = frame.join(chosen.select("run_id"), on="run_id", how="semi", maintain_order="left")
        counted = mine.group_by(["label", "message", "remedy"], maintain_order=True).agg(pl.len())
        rows = tuple(
            (label, message, remedy or NO_VALUE, str(number))
            for label, message, remedy, number in counted.iter_rows()
        )
    columns = (Column("Trial", False), Column("Warning", False), Column("Remedy", False), Column("Runs"))
    return Table("warnings", "Warnings", columns, rows)


def left_out(contents: Contents) -> Table:
    """Results under other conditions, which no mean includes."""
    runs = contents.selection.left_out
    rows = []
    if len(runs):
        here = contents.selection.chosen
        machine = here["machine_id"][0] if len(here) else None
        version = here["measurement_version"][0] if len(here) else None
        for (condition,), group in runs.group_by(["condition_id"], maintain_order=True):
            row = group.row(0, named=True)
            why = [
                text
                for text, differs in (
                    ("another machine", row["machine_id"] != machine),
                    (
                        f"measurement version {row['measurement_version']}",
                        row["measurement_version"] != version,
                    ),
                )
                if differs
            ]
            form = f"another form of environment {row['environment']}"
            form += ", or another Java" if row.get("settings.distribution", "single") != "single" else ""
            rows.append(
                (
                    str(condition),
                    ", ".join(why) or form,
                    str(row["machine"] or NO_VALUE),
                    ", ".join(sorted(set(group["label"]))),
                    str(len(group)),
                )
            )
    columns = (
        Column("Condition", False),
        Column("Differs by", False),
        Column("Machine", False),
        Column("Trials", False),
        Column("Runs"),
    )
    return Table("left-out", "Results under other conditions, left out", columns, tuple(rows))


# Beginnings of the names of packages that decide what is computed, beside the backends' own.
_PACKAGES = ("numpy", "scipy", "h5py", "ml-dtypes", "ml_dtypes", "pytensor", "nvidia", "triton")


def versions(contents: Contents) -> Table:
    """Versions that were seen to run, by environment."""
    told = (*_PACKAGES, *(name for one, _ in registry.backends().values() for name in one.packages))
    found: dict[str, dict[str, set[str]]] = {}
    for environment, _, facts in _facts(contents):
        seen = found.setdefault(environment, {})
        for package, version in (facts["observed"].get("versions") or {}).items():
            if str(package).lower().startswith(told):
                seen.setdefault(str(package).lower().replace("_", "-"), set()).add(str(version))
    packages = sorted({package for seen in found.values() for package in seen})
    rows = tuple(
        (package, *(", ".join(sorted(seen.get(package, ()))) or NO_VALUE for seen in found.values()))
        for package in packages
    )
    columns = (Column("Package", False), *(Column(environment, False) for environment in found))
    return Table("versions", "Versions observed", columns, rows)


def provenance(contents: Contents) -> Table:
    """What was asked, what the program made of it and what was seen to run, by contestant."""
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for environment, backend, facts in _facts(contents):
        name = backend if backend == environment else f"{backend} ({environment})"
        for key in sorted({key for part in facts.values() for key in part} - {"versions"}):
            values = {part: _fact(facts[part], key) for part in ("resolved", "observed")}
            values["asked"] = _fact(facts["asked"], key, none="default")
            rows.setdefault((name, key), []).append(values)
    table = tuple(
        (
            name,
            key.replace("_", " "),
            *(_one_or_many([one[part] for one in many]) for part in ("asked", "resolved", "observed")),
        )
        for (name, key), many in sorted(rows.items())
    )
    columns = ("Contestant", "Fact", "Asked", "Resolved", "Observed")
    title = "Asked, resolved, observed"
    return Table("provenance", title, tuple(Column(column, False) for column in columns), table, grouped=True)


def machines(contents: Contents) -> Table:
    """The machine that the results come from."""
    details: dict[str, Any] = {}
    chosen = contents.selection.chosen
    if "machine_details" in chosen.columns:
        for text in chosen["machine_details"].unique(maintain_order=True):
            for key, value in parsed(text).items():
                if key == "description":  # made of the others
                    continue
                details.setdefault(key, []).append(_fact({key: value}, key))
    rows = tuple((key.replace("_", " "), _one_or_many(values)) for key, values in details.items())
    return Table("machine", "Machine", (Column("Property", False), Column("Value", False)), rows)


# ---- in other formats ---------------------------------------------------------------------------


def to_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, with its title above."""
    head = [_md(column.title) for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [head, rule, *([_md(cell) for cell in row] for row in table.rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    said = (_md(table.note), f"**{_md(table.warning)}**" if table.warning else "")
    note = "".join(f"\n{words}\n" for words in said if words)
    return f"**{_md(table.title)}**\n\n{body}\n{note}"


def to_latex(table: Table) -> str:
    """The table as a LaTeX float; needs the package booktabs."""
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_tex(table.title)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{align}}}",
        r"    \toprule",
        "    " + " & ".join(_tex(column.title) for column in table.columns) + r" \\",
        r"    \midrule",
    ]
    for index, (first, rows) in enumerate(table.groups):
        if table.grouped and index:
            lines.append(r"    \addlinespace")
        for number, row in enumerate(rows):
            cells = [_tex(first) if number == 0 else "", *map(_tex, row)]
            lines.append("    " + " & ".join(cells) + r" \\")
    said = (_tex(table.note), rf"\textbf{{{_tex(table.warning)}}}" if table.warning else "")
    note = [rf"  \par\footnotesize {words}" for words in said if words]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", *note, r"\end{table}", ""])


# ---- details ------------------------------------------------------------------------------------


def _values(runs: pl.DataFrame, column: str) -> list[float]:
    if column not in runs.columns:
        return []
    return [float(value) for value in runs[column] if value is not None]


def samples_of(runs: pl.DataFrame, contestant: Contestant, column: str) -> list[tuple[str, list[float]]]:
    """One sample of a metric; of what includes compilation one for each state of the compile cache."""
    states = [state for state in ("cold", "warm") if state in runs["cache"].to_list()]
    if not METRICS[column].includes_compilation or not states:
        return [(contestant.name, _values(runs, column))]
    return [
        (
            contestant.label(f"{contestant.plain_name}, {state} cache"),
            _values(runs.filter(cache=state), column),
        )
        for state in states
    ]


def counts_of(section: Section) -> dict[str, tuple[int, int]]:
    """By trial: runs that failed and that were skipped."""
    counted = section.attempts.group_by("trial_id").agg(
        failed=pl.col("status").is_in(FAILED).sum(), skipped=(pl.col("status") == "skipped").sum()
    )
    return {trial_id: (failed, skipped) for trial_id, failed, skipped in counted.iter_rows()}


def interval_text(low: str, high: str) -> str:
    return NO_VALUE if NO_VALUE in (low, high) else f"{low} to {high}"


def _facts(contents: Contents) -> list[tuple[str, str, dict[str, dict[str, Any]]]]:
    """Environment, backend and facts of the runs under the chosen conditions."""
    frame = contents.frames.facts
    if not len(frame):
        return []
    mine = frame.join(
        contents.selection.chosen.select("run_id"), on="run_id", how="semi", maintain_order="left"
    )
    parts = ("asked", "resolved", "observed")
    return [
        (row["environment"], row["backend"], {part: parsed(row[part]) for part in parts})
        for row in mine.iter_rows(named=True)
    ]


def _fact(part: Mapping[str, Any], key: str, none: str = NO_VALUE) -> str:
    value = part.get(key)
    if value is None:
        return none if key in part else NO_VALUE
    return _words(value) if isinstance(value, dict) else plain_list(value)


def plain_list(value: Any) -> str:
    """A fact's value for people; lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "none"
    return plain(value)


def _words(values: Mapping[str, Any]) -> str:
    shown = (
        f"{key.replace('_', ' ')}: {plain_list(value)}" for key, value in values.items() if value is not None
    )
    return "; ".join(shown) or NO_VALUE


def _one_or_many(values: Sequence[str]) -> str:
    """The one value that all runs share; else how many there were."""
    distinct = list(dict.fromkeys(values))
    return " / ".join(distinct) if len(distinct) <= 3 else f"{len(distinct)} different values"


def slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower()).strip("-") or "table"


def _md(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)
    return re.sub(r"\s*\n\s*", "<br>", escaped)


_TEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "‡": r"$\ddagger$",
    "÷": r"$\div$",
    "’": "'",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "∞": r"$\infty$",
    "†": r"$\dagger$",
    "✗": r"$\otimes$",
    "–": "--",
    "\u202f": r"\,",
    "\n": " ",
}
_TEX_CHARACTER = re.compile("|".join(map(re.escape, _TEX)))
_POWER = re.compile("([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_NORMAL = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _tex(text: str) -> str:
    escaped = _TEX_CHARACTER.sub(lambda match: _TEX[match.group()], text)
    return _POWER.sub(lambda match: f"$^{{{match.group().translate(_NORMAL)}}}$", escaped)
