"""``bakeoff plan``: what would run, in which order, how long it may take, and what can't run here.

Runs and makes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bakeoff import design, farm, machine, plan, stopping, study
from bakeoff.cli import to_see
from bakeoff.cli.console import console, table
from bakeoff.cli.overrides import study_of
from bakeoff.cli.stores import store_path
from bakeoff.errors import BakeoffError, ReportError
from bakeoff.events import messages
from bakeoff.identity import known
from bakeoff.prepare import download, obstacles
from bakeoff.store.reader import PastRun, Reader
from bakeoff.study.words import key_name, text
from bakeoff.wording import counted, span
from bakeoff_worker.job import RunSpec

_SHOWN = 12  # runs listed unless --all
_NAMED = 6  # trials that one obstacle stops, by name


def main(arguments: argparse.Namespace) -> int:
    """Print the plan; 0 if all of it can run here, as far as shows without making anything, else 1.

    With ``--to-see`` what it takes to see a difference instead; 0.
    """
    chosen = known(study_of(arguments))
    if arguments.to_see is not None:
        return _to_see(chosen, arguments)
    specs, branches = plan.expand(chosen), plan.expand_follow_up(chosen)
    everything = (*specs, *itertools.chain.from_iterable(branches))
    in_the_way = obstacles(chosen, everything)
    wanted = download(chosen, [spec for spec in everything if spec.trial_id not in in_the_way])
    cluster = farm.connect(arguments.farm, chosen.farm) if arguments.farm else None
    history = _history(store_path(arguments), cluster)
    # Which branch will run is known only then: the time is that of the longest.
    estimates = [plan.estimate((*specs, *branch), history) for branch in branches or ((),)]
    estimate = max(estimates, key=lambda one: one.total_s or 0.0)
    if cluster:
        per_block = plan.estimate([spec for spec in specs if spec.block == 0], history)
        if not per_block.num_unknown:
            cluster.minutes(per_block.low_s, per_block.high_s, messages(console().print))
        num_blocks = len({spec.block for spec in specs})
        estimate = plan.side_by_side(estimate, num_blocks, chosen.farm.nodes or num_blocks)
    if arguments.json:
        document = {
            "study": chosen.name,
            "runs": _plain(specs),
            "estimate": dataclasses.asdict(estimate),
            "rules": dataclasses.asdict(chosen.rules),
            "download": dataclasses.asdict(wanted) if wanted else None,
            "cannot_run": {
                trial_id: {"reason": error.message, "hint": error.hint}
                for trial_id, error in in_the_way.items()
            },
        }
        if chosen.rules.is_sequential:
            document["budget"] = dataclasses.asdict(chosen.budget)
        if chosen.follow_up:
            document["follow_up"] = {
                "choose": chosen.follow_up.choose,
                "changes": chosen.follow_up.changes,
                "branches": [
                    {"value": branch.value, "runs": _plain(runs)}
                    for branch, runs in zip(chosen.follow_up.branches, branches, strict=True)
                ],
            }
        print(json.dumps(document, default=str))
        return 1 if in_the_way else 0
    screen = console()
    screen.print(Text.assemble((chosen.title, "bold"), f" ({chosen.name})\n{chosen.description.strip()}\n"))
    screen.print(
        f"{_amount(chosen, chosen.trials)}, in randomized blocks of one repeat each (seed {chosen.seed})"
        f"{_turns(chosen)}"
    )
    screen.print(_rules(chosen))
    for words in study.comparisons.not_compared(chosen.trials):
        screen.print(words)
    screen.print(_order(specs, everything=arguments.all))
    if chosen.follow_up:
        screen.print(_then(chosen, chosen.follow_up))
    on_cluster = any(spec.settings.distribution != "single" for spec in specs)
    on_gpu = any(spec.settings.device == "gpu" for spec in specs)
    quick = "quick-distributed" if on_cluster else "quick-gpu" if on_gpu else "quick"
    screen.print(_times(estimate, quick, cluster is not None))
    if chosen.rules.is_sequential and estimate.total_s is not None:
        most = plan.estimate(plan.most_runs(chosen), history)
        if cluster:
            blocks = chosen.budget.max_blocks
            most = plan.side_by_side(most, blocks, chosen.farm.nodes or study.FEWEST_BLOCKS)
        limit = "" if chosen.budget.max_hours is None else f", {span(3600 * chosen.budget.max_hours)} at most"
        screen.print(
            f"  that is for the fewest blocks; if nothing is decided: {span(most.total_s or 0.0)} for "
            f"{chosen.budget.max_blocks} blocks{limit}"
        )
    if wanted:
        screen.print(
            f"before the first run: {wanted.size} of CUDA to download, about {wanted.disk_bytes / 1e9:.0f} "
            f"GB on disk, for {', '.join(wanted.names)}; `bakeoff run` asks first, or takes --yes"
        )
    for line in _cannot_run(everything, in_the_way):
        screen.print(line)
    return 1 if in_the_way else 0


def _to_see(chosen: study.Study, arguments: argparse.Namespace) -> int:
    """Print what it takes to see a difference; `ReportError` where too little is known to plan from."""
    store, rules = store_path(arguments), stopping.rules_of(chosen)
    if not store.exists():
        raise ReportError(
            f"too few runs to plan from: {store} does not exist",
            f"`bakeoff run {arguments.study}` once, or `bakeoff calibrate`.",
        )
    here = machine.identity()["machine_id"]
    with Reader(store) as reader:
        runs, epochs = reader.runs().filter(machine_id=here), reader.epochs()
    found = design.outlook(
        chosen, [arguments.to_see], rules=rules, history=_history(store), runs=runs, epochs=epochs
    )
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found)))
        return 0
    screen = console()
    for line in to_see.lines(found, rules, arguments):
        screen.print(line)
    return 0


def _cannot_run(specs: Sequence[RunSpec], in_the_way: Mapping[str, BakeoffError]) -> Iterator[Text]:
    """What is in the way, once each, with the trials that it stops."""
    stopped: dict[tuple[str, str], list[str]] = {}
    for trial_id, label in {spec.trial_id: spec.label for spec in specs}.items():
        if obstacle := in_the_way.get(trial_id):
            stopped.setdefault((obstacle.message, obstacle.hint), []).append(label)
    for (message, hint), labels in stopped.items():
        names = ", ".join(labels[:_NAMED]) + (f" and {len(labels) - _NAMED} more" * (len(labels) > _NAMED))
        yield Text.assemble(("can't run here", "red"), f": {names}: {message}")
        if hint:
            yield Text(f"  {hint}", "dim")


def _turns(chosen: study.Study) -> str:
    """How a block's contestants share the machine, where that is not one after the other."""
    settings = chosen.trials[0].settings
    if not settings.alternates:
        return ""
    length = "an epoch" if settings.turn_steps is None else f"{settings.turn_steps} steps"
    return f"; a block's contestants live at the same time and train {length} each in turn"


def _amount(chosen: study.Study, trials: Sequence[study.Trial]) -> str:
    """Trials, repeats and runs; of those that run until decided, the fewest and the most."""
    compared = [trial for trial in trials if trial.trial_id in chosen.compared]
    others = len(trials) - len(compared)
    if not compared:
        return _product(len(trials), chosen.repeats)
    least, most = (
        len(compared) * blocks + others * chosen.repeats
        for blocks in (study.FEWEST_BLOCKS, chosen.budget.max_blocks)
    )
    fixed = f" and {_product(others, chosen.repeats)}" if others else ""
    return (
        f"{len(compared)} trials until decided, in {study.FEWEST_BLOCKS} to {chosen.budget.max_blocks} "
        f"repeats each{fixed}: {least} to {most} runs"
    )


def _rules(chosen: study.Study) -> str:
    """What will be compared, and by what."""
    rules, num = chosen.rules, len(chosen.rules.comparisons)
    always = " that hold after every block" if rules.is_sequential else ""
    return (
        f"{counted(num, 'comparison')}, by {100 * rules.confidence:g} % intervals{always}; "
        f"practically equal: times within {100 * rules.margin:g} %; "
        f"no worse: errors within {100 * rules.error_margin:g} percentage points"
    )


def _plain(specs: Sequence[RunSpec]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(spec) | {"trial_id": spec.trial_id} for spec in specs]


def _product(trials: int, repeats: int) -> str:
    of_trials, of_repeats = counted(trials, "trial"), counted(repeats, "repeat")
    return f"{of_trials} × {of_repeats} = {counted(trials * repeats, 'run')}"


def _then(chosen: study.Study, follow_up: study.FollowUp) -> str:
    """What comes after all other runs."""
    values = [text(follow_up.choose, branch.value) for branch in follow_up.branches]
    changes = ", ".join(f"{key_name(key)} {text(key, value)}" for key, value in follow_up.changes.items())
    most = max((branch.trials for branch in follow_up.branches), key=len)
    on = f"on {key_name(follow_up.choose)} {values[0]}"
    if len(values) > 1:
        on = f"on the better {key_name(follow_up.choose)} ({' or '.join(values)})"
    return f"then: {_amount(chosen, most)} with {changes} {on}"


def _order(specs: tuple[RunSpec, ...], *, everything: bool) -> Table:
    figures = ("run", "block", "epochs", "images", "batch")
    listed = table("run", "block", "trial", "epochs", "images", "batch", "device", right=figures)
    shown = list(enumerate(specs, 1))
    if not everything and len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 2]
    for number, spec in shown:
        cells = (spec.label, spec.settings.epochs, _images(spec), _batch(spec), spec.settings.device)
        listed.add_row(str(number), str(spec.block + 1), *map(str, cells))
    if len(shown) < len(specs):
        listed.add_row("…", "", f"and {len(specs) - len(shown)} more (--all lists them)")
    return listed


def _images(spec: RunSpec) -> str:
    images = f"{spec.settings.train_images:,}" if spec.settings.train_images else "all"
    return images if spec.settings.data_scale == 1 else f"{images} × {spec.settings.data_scale}"


def _batch(spec: RunSpec) -> str:
    per_task = spec.settings.distribution_options.get("batch_size_per_task")
    return str(spec.settings.global_batch_size) if per_task is None else f"{per_task} a task"


def _times(estimate: plan.Estimate, quick: str, on_farm: bool) -> str:
    where, how = ("farm", " --farm slurm") if on_farm else ("machine", "")
    unknown = [trial for trial in estimate.trials if trial.run_s is None]
    if estimate.total_s is None or estimate.low_s is None or estimate.high_s is None:
        return (
            f"time: nothing is known yet: the store has no run on this {where} that is like these.\n"
            f"`bakeoff run {quick}{how}` takes minutes; after it this plan can be estimated."
        )
    lines = [
        f"time: about {span(estimate.total_s)} ({span(estimate.low_s)} to {span(estimate.high_s)}), "
        f"from what the store has seen on this {where}" + ", once there are nodes" * on_farm
    ]
    scaled = [trial for trial in estimate.trials if trial.basis.startswith("scaled")]
    if scaled:
        lines.append(
            f"  {len(scaled)} of {len(estimate.trials)} trials are scaled from other runs, not measured"
        )
    if unknown:
        lines.append(
            f"  plus {estimate.num_unknown} runs of which nothing is known: "
            + ", ".join(trial.label for trial in unknown[:6])
            + ("…" if len(unknown) > 6 else "")
        )
    return "\n".join(lines)


def _history(store: Path, cluster: farm.Farm | None = None) -> list[PastRun]:
    """Runs of this machine, or of a farm, that ended well; none where there is no store yet."""
    if not store.exists():
        return []
    here = cluster.machine_id if cluster else machine.identity()["machine_id"]
    with Reader(store) as reader:
        return [run for run in reader.history() if run.machine_id == here]
