"""What a reviewer asks of a benchmark, answered from the store; and the words that a paper needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata

import polars as pl

from bakeoff import stats
from bakeoff.races.definitions import UNCERTIFIED, Comparison
from bakeoff.races.frames import distributed
from bakeoff.report.contents import Contents, unequal_weights
from bakeoff.report.items.conditions import framework, header, last_calibration
from bakeoff.wording import listed


class Answer(Enum):
    """What a store says to a question."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One question, its answer, and what it rests on."""

    question: str
    answer: Answer
    words: str


def checklist(contents: Contents) -> tuple[Check, ...]:
    """Every question that applies; empty where nothing ran."""
    return tuple(_checks(contents)) if len(contents.selection.chosen) else ()


def _checks(contents: Contents) -> Iterator[Check]:
    runs, ok = contents.selection.chosen, contents.selection.ok
    pairs = [
        comparison
        for section in contents.sections
        for race in section.races
        for comparison in race.comparisons
    ]
    asked = [pair for pair in pairs if pair.is_asked]

    def check(question: str, holds: bool | None, words: str) -> Check:
        answer = Answer.UNKNOWN if holds is None else Answer.YES if holds else Answer.NO
        return Check(question, answer, words)

    if pairs:
        same = sum(pair.certificate.is_same for pair in pairs)
        unknown = all(pair.certificate.verdict == UNCERTIFIED for pair in pairs)
        yield check(
            "Do the compared programs train the same thing?",
            None if unknown else same == len(pairs),
            f"{same} of {len(pairs)} pairs are certified to compute the same losses, gradients and steps.",
        )
    repeats = ok.group_by("trial_id").len()["len"].to_list()
    yield check(
        "Was each measurement repeated?",
        min(repeats, default=0) > 1,
        f"{_range(repeats)} independent processes for each contestant; a pair's own noise is known from "
        f"{stats.MIN_BLOCKS} on.",
    )
    order = _order(runs)
    blocks, num = ok.group_by("block").agg(pl.col("trial_id").n_unique())["trial_id"], len(repeats)
    whole = int((blocks == num).sum())
    yield check(
        "Were the contestants interleaved?",
        whole == len(blocks),
        f"They ran in blocks, one repeat of each in a block, {order}; {whole} of {len(blocks)} blocks are "
        "complete.",
    )
    if asked:
        known = sum(one.verdict.time.low is not None for one in asked)
        rules = asked[0].verdict.rules
        together = f", for {rules.num_comparisons} comparisons together" if rules.num_comparisons > 1 else ""
        yield check(
            "Is the uncertainty of each difference stated?",
            known == len(asked),
            f"{known} of {len(asked)} ratios have a {100 * rules.confidence:g} % interval, paired by "
            f"block{together}.",
        )
        errors = sum(one.verdict.error is not None and one.verdict.error.low is not None for one in asked)
        yield check(
            "Are times compared at equal error?",
            errors == len(asked),
            f"{errors} of {len(asked)} comparisons have an interval of the error's difference, held against "
            f"a margin of {100 * rules.error_margin:g} percentage points.",
        )
        decided = sum(one.verdict.is_decided for one in asked)
        yield check(
            "Are all comparisons decided?",
            decided == len(asked),
            f"{_decided(asked)}; undecided ones are called so.",
        )
    idle = [str(contestant.name) for contestant in contents.contestants if contestant.learning.is_nothing]
    learnt = f"Not {', '.join(idle)}, which no verdict counts." if idle else "All did, in most of their runs."
    yield check("Did everybody learn something?", not idle, learnt)
    unequal = [at for one in contents.sections for at, _ in unequal_weights(one, contents.frames)]
    known = all(contestant.observed.get("initial_weights_sha256") for contestant in contents.contestants)
    weights = "Each run recorded a digest of them." if known else "Not all runs recorded a digest of them."
    yield check(
        "Do contestants start from the same weights?",
        False if unequal else known or None,
        f"Not on {', '.join(unequal)}." if unequal else weights,
    )
    lost, left = len(runs) - len(ok), len(contents.selection.left_out)
    planned = contents.frames.num_planned
    yield check(
        "Did every planned run end well?",
        None if planned is None else len(ok) >= planned,
        f"{len(ok)} of {'an unknown number' if planned is None else planned} count; {lost} more did not end "
        f"well or were repeated, {left} ran under other conditions. All are listed.",
    )
    disturbed = int(ok["disturbed"].fill_null(False).sum()) if "disturbed" in ok.columns else None
    yield check(
        "Was the machine quiet?",
        None if disturbed is None else disturbed == 0,
        "Nobody looked."
        if disturbed is None
        else f"It did other things during {disturbed} of {len(ok)} runs.",
    )
    yield _calibrated(contents)
    machine = dict(header(contents)).get("Machine", "")
    yield check("Is the hardware stated?", bool(machine), f"{machine or 'Not recorded'}.")
    known_versions = [
        contestant for contestant in contents.contestants if contestant.observed.get("versions")
    ]
    yield check(
        "Are the versions stated?",
        len(known_versions) == len(contents.contestants),
        f"{_versions(contents) or 'Not recorded'}.",
    )
    command = dict(header(contents)).get("Command", "")
    yield check("Can it be repeated?", bool(command), f"{command or 'No command is recorded'}")


def _calibrated(contents: Contents) -> Check:
    question, found = "Can the machine tell equal contestants apart by chance?", None
    if contents.frames.calibrations is not None:
        found = last_calibration(contents.frames.calibrations, contents.selection.chosen)
    if found is None:
        return Check(question, Answer.UNKNOWN, "It was never calibrated (bakeoff calibrate).")
    words = found.sentence()
    answer = Answer.YES if found.passed else Answer.NO
    return Check("Was the machine calibrated, and did it pass?", answer, f"{words[0].upper()}{words[1:]}.")


def _range(numbers: list[int]) -> str:
    low, high = min(numbers, default=0), max(numbers, default=0)
    return f"{low}" if low == high else f"{low} to {high}"


def _versions(contents: Contents) -> str:
    """Every framework with its version, once."""
    found = dict.fromkeys(
        part for contestant in contents.contestants for part in framework(contestant).split(", ")
    )
    return ", ".join(part for part in found if part != "–")


# ---- for a paper --------------------------------------------------------------------------------


def methods_paragraph(contents: Contents) -> str:
    """A paragraph on how it was measured, with this study's own numbers; empty where nothing ran."""
    ok = contents.selection.ok
    if not len(ok):
        return ""
    facts = dict(header(contents))
    names = [f"{backend} ({_framework_of(contents, backend)})" for backend in _backends(contents)]
    sets = ", ".join(dict.fromkeys(map(str, ok["dataset"])))
    blocks = _range(ok.group_by("trial_id").len()["len"].to_list())
    epochs = _range(ok["num_epochs"].to_list())
    unequal = any(unequal_weights(one, contents.frames) for one in contents.sections)
    said = [
        f"We compared {listed(names)} on {sets}: {len(ok)} training runs of {epochs} epochs, {blocks} for "
        f"each configuration, on {facts.get('Machine', 'one machine')}"
        + (f", {facts['Measured']}." if "Measured" in facts else "."),
        "Each run was a process of its own in an isolated environment. Runs were blocked: one repeat of "
        f"each configuration in a block, {_order(ok)}{'' if unequal else ', with the same initial weights'}.",
    ]
    pairs = [
        comparison
        for section in contents.sections
        for race in section.races
        for comparison in race.comparisons
    ]
    if asked := [pair for pair in pairs if pair.is_asked]:
        said.append(_judged(asked))
        same = sum(pair.certificate.is_same for pair in pairs)
        said.append(
            f"Of {len(pairs)} pairs, {same} were certified to compute the same losses, gradients and steps "
            "from the same weights and batches."
        )
    if len(distributed(ok)):
        said.append("Distributed runs used Elephas on Apache Spark; their times include starting workers.")
    version = metadata.version("bakeoff")
    measured = ", ".join(str(one) for one in sorted(ok["measurement_version"].unique().to_list()))
    said.append(f"Measured and judged with Bakeoff {version}, measurement version {measured}.")
    return " ".join(said)


def _judged(asked: list[Comparison]) -> str:
    rules = asked[0].verdict.rules
    together = f", simultaneous for {rules.num_comparisons} comparisons" if rules.num_comparisons > 1 else ""
    return (
        "Training times were compared by their ratio within blocks (geometric mean, "
        f"{100 * rules.confidence:g} % intervals{together}), judged at non-inferior final error with margins "
        f"of {100 * rules.margin:g} % in time and {100 * rules.error_margin:g} percentage points in error; "
        f"decided: {_decided(asked)}."
    )


def _order(runs: pl.DataFrame) -> str:
    in_turns = "settings.order" in runs.columns and (runs["settings.order"] == "alternating").any()
    return "in turns" if in_turns else "in random order"


def _decided(asked: list[Comparison]) -> str:
    decided = sum(comparison.verdict.is_decided for comparison in asked)
    on_time = sum(
        comparison.verdict.is_decided_on_time for comparison in asked if not comparison.verdict.is_decided
    )
    return f"{decided} of {len(asked)}" + (f", and {on_time} on time alone" if on_time else "")


def _backends(contents: Contents) -> list[str]:
    return list(dict.fromkeys(contestant.backend for contestant in contents.contestants))


def _framework_of(contents: Contents, backend: str) -> str:
    known = [framework(contestant) for contestant in contents.contestants if contestant.backend == backend]
    return next((one for one in known if one != "–"), "version unknown")


def bibtex(contents: Contents) -> str:
    """An entry for this program, in the version that reports."""
    version = metadata.version("bakeoff")
    ok = contents.selection.ok
    year = ok["started_at"].max().year if len(ok) else ""  # type: ignore[union-attr]
    return (
        "@software{bakeoff,\n  title = {Bakeoff: fair races between deep-learning backends},\n"
        f"  author = {{{{The Bakeoff developers}}}},\n  version = {{{version}}},\n  year = {{{year}}}\n}}"
    )
