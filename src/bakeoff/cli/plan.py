"""``bakeoff plan``: what would run, in which order, and how long it may take. Runs and creates nothing."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from rich.table import Table

from bakeoff import machine, plan, study
from bakeoff.cli.console import console
from bakeoff.cli.stores import store_path
from bakeoff.prepare import check_devices
from bakeoff.store.reader import PastRun, Reader
from bakeoff_worker.records import RunSpec

_SHOWN = 12  # runs listed unless --all


def main(arguments: argparse.Namespace) -> int:
    """Print the plan; 0."""
    chosen = study.load(arguments.study, arguments.overrides)
    check_devices(trial.settings for trial in chosen.trials)
    specs = plan.expand(chosen)
    estimate = plan.estimate(specs, _history(store_path(arguments)))
    if arguments.json:
        runs = [dataclasses.asdict(spec) | {"trial_id": spec.trial_id} for spec in specs]
        print(
            json.dumps(
                {"study": chosen.name, "runs": runs, "estimate": dataclasses.asdict(estimate)}, default=str
            )
        )
        return 0
    screen = console()
    screen.print(f"[bold]{chosen.title}[/] ({chosen.name})\n{chosen.description.strip()}\n")
    screen.print(
        f"{len(chosen.trials)} trials × {chosen.repeats} repeats = {len(specs)} runs,"
        f" in randomized blocks of one repeat each (seed {chosen.seed})"
    )
    screen.print(_order(specs, everything=arguments.all))
    screen.print(_times(estimate))
    return 0


def _order(specs: tuple[RunSpec, ...], *, everything: bool) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for title in ("run", "block", "trial", "epochs", "images", "batch", "device"):
        table.add_column(title, justify="left" if title in ("trial", "device") else "right")
    listed = list(enumerate(specs, 1))
    if not everything and len(listed) > _SHOWN:
        listed = listed[: _SHOWN - 2]
    for number, spec in listed:
        images = f"{spec.settings.train_images:,}" if spec.settings.train_images else "all"
        cells = (
            spec.label,
            spec.settings.epochs,
            images,
            spec.settings.global_batch_size,
            spec.settings.device,
        )
        table.add_row(str(number), str(spec.block + 1), *map(str, cells))
    if len(listed) < len(specs):
        table.add_row("…", "", f"and {len(specs) - len(listed)} more (--all lists them)")
    return table


def _times(estimate: plan.Estimate) -> str:
    unknown = [trial for trial in estimate.trials if trial.run_s is None]
    if estimate.total_s is None or estimate.low_s is None or estimate.high_s is None:
        return (
            "time: nothing is known yet: the store has no run on this machine that is like these.\n"
            "`bakeoff run quick` takes minutes; after it this plan can be estimated."
        )
    lines = [
        f"time: about {_span(estimate.total_s)} ({_span(estimate.low_s)} to {_span(estimate.high_s)}), "
        "from what the store has seen on this machine"
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


def _history(store: Path) -> list[PastRun]:
    """Runs of this machine that ended well; none where there is no store yet."""
    if not store.exists():
        return []
    here = machine.identity()["machine_id"]
    with Reader(store) as reader:
        return [run for run in reader.history() if run.machine_id == here]


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
