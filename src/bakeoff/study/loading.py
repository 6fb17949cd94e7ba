"""A study file from name or path to a frozen `Study`, or to one error with all mistakes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from bakeoff import registry
from bakeoff.errors import StudyError
from bakeoff.study import checks, comparisons, content, expansion, follow_up, naming
from bakeoff.study.definitions import (
    DATASETS,
    FEWEST_BLOCKS,
    LATER_SETTINGS,
    Branch,
    Budget,
    EnvironmentRequest,
    Errors,
    FarmRequest,
    FollowUp,
    Rules,
    Study,
    Trial,
)
from bakeoff.study.document import Document, Problems, absolute, override, parse
from bakeoff.study.expansion import DraftTrial
from bakeoff.study.schema import (
    SECTIONS,
    EnvironmentTable,
    FarmTable,
    StudyTable,
    VerdictsTable,
    names,
    read,
    shown,
    suggestion,
)
from bakeoff_worker.job import TrialSettings

_HINT = "docs/studies.md describes every key; `bakeoff plan STUDY` checks a file without running anything"


def load(source: str | Path, overrides: Sequence[str] = ()) -> Study:
    """The study of a built-in name or a TOML file, complete and checked; it reads files but runs nothing.

    overrides: ``key=value`` with TOML values or bare words, as `--set` gives them.

    Raises:
        StudyError: with all mistakes of file and overrides, each with its path.
    """
    text, name, directory, stem = _source(source)
    data, mistakes = parse(text, name)
    if mistakes:
        raise StudyError(mistakes, _HINT)
    document = Document(name, directory, data)
    problems = Problems(document)
    for line in override(document, overrides, SECTIONS):
        problems.add_line(line)

    table = read(StudyTable, document.data, (), problems)
    environments = _environments(table.environments, problems)
    drafts = expansion.expand(table, problems)
    outline = follow_up.outline(table.follow_up, drafts, problems)
    # Trials of the study proper come first, those that only a follow-up has after them.
    everything = {draft.identity: draft for draft in drafts}
    for branch in outline.branches if outline else ():
        everything.update((draft.identity, draft) for draft in branch.drafts)
    for draft in everything.values():
        checks.check(draft, environments, problems)
    if not drafts and not problems.lines:
        problems.add(("exclude",), "every trial is excluded: nothing is left to run")
    _check_order(table, [draft.settings for draft in everything.values()], problems)
    targets = _targets(table.targets, list(everything.values()), problems)
    verdicts = read(VerdictsTable, table.verdicts, ("verdicts",), problems)
    budget = _budget(verdicts, problems)
    farm = _farm(table.farm, problems)
    if problems.lines:
        raise StudyError(problems.lines, _HINT)

    trials, keys = _trials(list(everything.values()), table)
    by_identity = dict(zip(everything, trials, strict=True))
    then = _follow_up(outline, by_identity) if outline else None
    rules = _rules(verdicts, trials[: len(drafts)], then, problems)
    if problems.lines:
        raise StudyError(problems.lines, _HINT)
    study = Study(
        name=table.name or stem,
        title=table.title or table.name or stem,
        description=table.description.strip(),
        repeats=table.repeats,
        seed=table.seed,
        trials=trials[: len(drafts)],
        environments=environments,
        matrix_keys=keys,
        target_error=targets,
        digest="",
        follow_up=then,
        rules=rules,
        budget=budget,
        farm=farm,
    )
    return replace(study, digest=_digest(study, bool(verdicts.compare)))


def stored(document: Mapping[str, Any]) -> Study:
    """The study of `Study.document`, as far as its trials go: without rules, follow-up, budget and farm."""
    settings = {field.name for field in fields(TrialSettings)}
    trials = [
        Trial(
            one["label"],
            TrialSettings(**{key: value for key, value in one["settings"].items() if key in settings}),
            one["axes"],
        )
        for one in document["trials"]
    ]
    environments = {
        name: EnvironmentRequest(
            name,
            python=Path(one["python"]) if one["python"] else None,
            lock=Path(one["lock"]) if one["lock"] else None,
            python_version=one["python_version"],
        )
        for name, one in document["environments"].items()
    }
    same = ("name", "title", "description", "repeats", "seed", "target_error", "digest")
    return Study(
        **{key: document[key] for key in same},
        trials=tuple(trials),
        environments=environments,
        matrix_keys=tuple(document["matrix_keys"]),
    )


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in studies, in alphabetical order."""
    files = (resources.files("bakeoff") / "studies").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def _source(source: str | Path) -> tuple[str, str, Path, str]:
    """Text, name in messages, folder for relative paths, and the study's name if it gives none."""
    builtin = builtin_names()
    if isinstance(source, str) and source in builtin:
        text = (resources.files("bakeoff") / "studies" / f"{source}.toml").read_text(encoding="utf-8")
        return text, f"{source}.toml", Path.cwd(), source
    path = absolute(Path(os.path.expanduser(source)))  # noqa: PTH111  (Path's raises for unknown users)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = suggestion(source, builtin)
        raise StudyError(
            [f"no study of that name and no such file: `{source}`{near}"],
            f"built-in studies: {names(builtin)}; anything else is the path of a TOML file",
        ) from None
    except IsADirectoryError:
        raise StudyError([f"{source}: expected a TOML file; got a folder"], _HINT) from None
    except UnicodeDecodeError as error:
        raise StudyError([f"{source}: not UTF-8 at byte {error.start}: TOML files are"], _HINT) from None
    except (OSError, ValueError) as error:
        raise StudyError([f"{source}: can't be read: {error}"], _HINT) from None
    return text, str(source), path.parent, path.stem


def _environments(tables: Mapping[str, Any], problems: Problems) -> dict[str, EnvironmentRequest]:
    requests = {}
    for name, data in tables.items():
        place = ("environments", name)
        if name in registry.environments():
            problems.add(place, f"`{name}` is one of Bakeoff's own environments; give yours another name")
        if not isinstance(data, Mapping):
            problems.add(place, f"expected a table with `python` or `lock`; got {shown(data)}")
            data = {}
        elif ("python" in data) == ("lock" in data):
            got = "both" if "python" in data else "neither"
            problems.add(
                place, f"expected `python` (an interpreter) or `lock` (a requirements file); got {got}"
            )
        elif ("lock" in data) != ("python_version" in data):
            problems.add(
                place,
                "expected `python_version` beside `lock`: the Python it was made for"
                if "lock" in data
                else "`python_version` goes with `lock`; an interpreter has its own",
            )
        table = read(EnvironmentTable, data, place, problems)
        path = problems.document.path
        lock = path(table.lock, (*place, "lock")) if table.lock else None
        if lock and not content.exists(lock):
            problems.add((*place, "lock"), f"no such file: `{lock}`")
        python = path(table.python, (*place, "python")) if table.python else None
        requests[name] = EnvironmentRequest(name, python, lock, table.python_version)
    return requests


def _targets(
    targets: Mapping[str, Any], drafts: Sequence[DraftTrial], problems: Problems
) -> dict[str, float]:
    known = list(dict.fromkeys([*DATASETS, *(draft.settings["dataset"] for draft in drafts)]))
    resolved = {}
    for dataset, error in targets.items():
        place = ("targets", dataset)
        if type(error) not in (int, float) or not 0 < error < 1:
            problems.add(place, f"expected a fraction between 0 and 1 (5 % is 0.05); got {shown(error)}")
        path = str(problems.document.path(dataset, place))
        if dataset in known or path in known:
            resolved[dataset if dataset in known else path] = error
        elif "dataset" not in problems.broken:
            problems.add(
                place, f"expected a data set of this study; got `{dataset}`{suggestion(dataset, known)}"
            )
    return resolved


def _check_order(table: StudyTable, trials: Sequence[Mapping[str, Any]], problems: Problems) -> None:
    """Turns are taken by processes on this machine's processors."""
    sequential = 'write `order = "sequential"`, or run with `--set order=sequential`'
    if table.order != "alternating":
        if table.turn_steps is not None and "order" not in problems.broken:
            problems.add(("turn_steps",), 'goes with contestants that take turns: `order = "alternating"`')
        return
    if any(settings.get("distribution", "single") != "single" for settings in trials):
        why = "a cluster's processes can't be stopped for others to train"
        problems.add(("order",), f"`alternating` is for trials on one machine; {why}: {sequential}")
    if any(settings.get("early_stopping") for settings in trials):
        why = "with early stopping some end before the others"
        problems.add(("order",), f"`alternating` is for contestants of as many epochs; {why}: {sequential}")
    if any(settings.get("device") == "gpu" for settings in trials):
        why = "on a GPU a stopped framework keeps the memory that it reserved, which is nearly all"
        problems.add(("order",), f"`alternating` is for trials on CPUs; {why}: {sequential}")


def _trials(drafts: Sequence[DraftTrial], table: StudyTable) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    keys = naming.varying(drafts)
    found = []
    for draft, label, axes in zip(
        drafts, naming.labels(drafts, keys), naming.axes(drafts, keys), strict=True
    ):
        settings = expansion.settings_of(draft.settings)
        settings = replace(settings, order=table.order, turn_steps=table.turn_steps)
        found.append(Trial(label, settings, axes))
    return tuple(found), keys


def _follow_up(outline: follow_up.Outline, trials: Mapping[str, Trial]) -> FollowUp:
    return FollowUp(
        choose=outline.choose,
        changes={key: value.value for key, value in outline.changes.items()},
        branches=tuple(
            Branch(
                value=branch.value,
                compared={trials[trial.identity].trial_id: name for trial, name in branch.compared},
                trials=tuple(trials[draft.identity] for draft in branch.drafts),
            )
            for branch in outline.branches
        ),
    )


def _budget(table: VerdictsTable, problems: Problems) -> Budget:
    """How long a study may go on until it is decided."""
    for key in ("max_blocks", "max_hours") if not table.until_decided else ():
        if key in table.model_fields_set:
            how = "write `until_decided = true` (on the command line: --until-decided)"
            problems.add(("verdicts", key), f"goes with a study that runs until decided: {how}")
    if table.max_blocks < FEWEST_BLOCKS and "max_blocks" not in problems.broken:
        expected = f"expected at least {FEWEST_BLOCKS}, since nothing is decided before"
        problems.add(("verdicts", "max_blocks"), f"{expected}; got `{table.max_blocks}`")
    return Budget(table.max_blocks, table.max_hours)


def _farm(own: Mapping[str, Any], problems: Problems) -> FarmRequest:
    """What jobs ask for: the user's settings, and over them the study's."""
    file = user_settings()
    settings: Mapping[str, Any] = {}
    if file.exists():
        data, mistakes = parse(file.read_text(encoding="utf-8"), str(file))
        theirs = Problems(Document(str(file), file.parent, data))
        for line in mistakes:
            theirs.add_line(line)
        if unknown := sorted(data.keys() - {"farm"}):
            theirs.add((unknown[0],), "expected the table [farm] alone")
        settings = data.get("farm", {}) if isinstance(data.get("farm", {}), Mapping) else {}
        read(FarmTable, settings, ("farm",), theirs)
        for line in theirs.lines:
            problems.add_line(line)
        if theirs.lines:
            return FarmRequest()
    table = read(FarmTable, {**settings, **own}, ("farm",), problems)
    folder = problems.document.path(table.folder, ("farm", "folder")) if table.folder else None
    keys = ("partition", "account", "cpus", "memory", "gres", "nodes", "exclusive", "staging")
    same = {key: getattr(table, key) for key in keys}
    return FarmRequest(**same, time_min=table.time, setup=tuple(table.setup), folder=folder)


def user_farm() -> FarmRequest:
    """What the user's own settings ask of a resource manager, whatever the study.

    Raises:
        StudyError: with all mistakes of that file.
    """
    problems = Problems(Document("", Path.cwd(), {}))
    request = _farm({}, problems)
    if problems.lines:
        raise StudyError(problems.lines, _HINT)
    return request


def user_settings(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own settings, not necessarily there: ``bakeoff/settings.toml`` in ``$XDG_CONFIG_HOME``."""
    xdg = environ.get("XDG_CONFIG_HOME", "")
    home = Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".config"
    return home / "bakeoff" / "settings.toml"


def _rules(table: VerdictsTable, trials: Sequence[Trial], then: FollowUp | None, problems: Problems) -> Rules:
    """By what the study is judged, and which pairs: all that race, or those of them that the file names."""
    groups = [trials, *(branch.trials for branch in (then.branches if then else ()))]
    racing = [pair for group in groups for pair in comparisons.racing_pairs(group)]
    if table.compare:
        everything = tuple({trial.trial_id: trial for group in groups for trial in group}.values())
        asked = comparisons.named(table.compare, everything, racing, ("verdicts", "compare"), problems)
    else:
        asked = tuple(dict.fromkeys(pair for group in groups for pair in comparisons.pairs(group)))
    if table.until_decided and not asked and not problems.lines:
        where = ("verdicts", "until_decided")
        why = comparisons.why_not(*racing[0]) if racing else "no two trials of this study race"
        problems.add(where, f"nothing is there to decide: {why}")
    return Rules(
        margin=float(table.margin),
        error_margin=float(table.error_margin),
        confidence=float(table.confidence),
        is_sequential=table.until_decided,
        comparisons=asked,
        errors=Errors(table.errors),
    )


def _digest(study: Study, chosen: bool) -> str:
    """The study's identity. Rules at their defaults leave it as it was when there were none.

    chosen: whether the file names its comparisons, which otherwise follow from the trials.
    """
    document = study.document()
    del document["budget"]
    if replace(study.rules, comparisons=()) == Rules() and not chosen:
        del document["rules"]
    elif study.rules.errors is Errors.CERTIFIED:  # as it was when there was no such rule
        del document["rules"]["errors"]
    branches = (document["follow_up"] or {"branches": []})["branches"]
    for trials in (document["trials"], *(branch["trials"] for branch in branches)):
        for trial in trials:
            for key, default in LATER_SETTINGS.items():
                if trial["settings"].get(key, default) == default:
                    trial["settings"].pop(key, None)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
