"""What varied between runs that should have been alike, by how much, and what can be done about it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import machine, stats
from bakeoff.calibration.entries import Entries
from bakeoff.calibration.words import percent

Array = NDArray[np.float64]

# A run is an outlier if it is off by more than five of the others' standard deviations, as their median
# absolute deviation gives them: one normal run in two million.
OUTLIER_SDS = 5.0
# Only noise that matters is named. Our choices: a log ratio's noise of 3 % finds a difference of 3 % in about
# 20 blocks; an effect of the order is told if it is three standard errors from none, and 1 % at least.
QUIET_LOG_SD = 0.03
MIN_EFFECT = 0.01
CLEAR_SES = 3.0
# Wall times that vary as CPU times do, by this share of their variance, are slow and not interrupted.
EXPLAINED_SHARE = 0.5


@dataclass(frozen=True)
class Noise:
    """What varied, on the logarithmic scale (0.06: about 6 %).

    log_sd: of the ratio of two runs of one block, which verdicts rest on. block_sd: of the machine's speed
    from block to block, beyond that; pairing takes it out. drift: of that speed from the first block to the
    last. order_effect: last run of a block against its first; order_se: its standard error. num_outliers:
    runs that are far off. cpu_explains: share of the runs' variance that is variance of their CPU time; None
    if unknown. system_share: CPU time that the system took for the runs, against their training times;
    system_explains: share of the runs' variance that is variance of it; both None if unknown. two_valued:
    seconds of the two kinds of runs, where there are two.
    """

    log_sd: float
    block_sd: float
    drift: float
    order_effect: float
    order_se: float
    num_outliers: int
    cpu_explains: float | None
    system_share: float | None
    system_explains: float | None
    two_valued: tuple[float, float] | None


@dataclass(frozen=True)
class NoiseSource:
    """One source of noise, in words: what was seen, with figures, and what can be done about it."""

    name: str
    seen: str
    remedy: str


def noise(table: Entries) -> Noise:
    """The noise of the plain entries; at least two of them, and two blocks."""
    residuals = _residuals(table.plain)
    num_blocks, num_entries = table.plain.shape
    freedom = (num_blocks - 1) * (num_entries - 1)
    run_sd = math.sqrt(float((residuals**2).sum()) / freedom)
    speeds = table.plain.mean(axis=1)
    between = float(speeds.var(ddof=1)) - run_sd**2 / num_entries
    drift = float(np.polyfit(np.arange(num_blocks), speeds, 1)[0]) * (num_blocks - 1)
    order_effect, order_se = _order_effect(table.positions, residuals, freedom)
    off = np.abs(_residuals(table.plain, np.median))  # medians: an outlier does not shift its neighbours
    typical = 1.4826 * float(np.median(off))
    knows_system = bool(np.isfinite(table.system).all())
    return Noise(
        log_sd=math.sqrt(2) * run_sd,
        block_sd=math.sqrt(max(between, 0.0)),
        drift=drift,
        order_effect=order_effect,
        order_se=order_se,
        num_outliers=int((off > OUTLIER_SDS * typical).sum()) if typical else 0,
        cpu_explains=_explained(residuals, _residuals(table.cpu)) if np.isfinite(table.cpu).all() else None,
        system_share=float(table.system.mean()) if knows_system else None,
        system_explains=_explained_by_system(residuals, _residuals(table.system)) if knows_system else None,
        two_valued=_two_lengths(np.exp(table.plain)),
    )


def sources(seen: Noise, runs: pl.DataFrame) -> tuple[NoiseSource, ...]:
    """The sources that can be named, the machine's own account of each run (`disturbance`) first."""
    told = [json.loads(text) for text in runs["disturbance"].drop_nulls()]
    details = json.loads(runs["machine_details"][-1] or "{}") if len(runs) else {}
    keeps = bool(runs["settings.keep_memory"].any()) if "settings.keep_memory" in runs.columns else False
    return (*_of_machine(told, details), *_of_times(seen, details, keeps))


def _of_machine(told: list[dict[str, Any]], details: dict[str, Any]) -> list[NoiseSource]:
    """What the machine did beside the runs, as its counters have it."""
    found = []
    limit = machine.MAX_OTHERS_CPU_SHARE
    if values := _beyond(told, "others_cpu_share", limit):
        remedy = "stop them: `top` shows which; on a host of several users, come back at night"
        found.append(NoiseSource("load", f"other programs used {_often(values, told, 'CPU')}", remedy))
    if values := _beyond(told, "steal_share", machine.MAX_STEAL_SHARE):
        remedy = "use a quieter or a dedicated host"
        found.append(NoiseSource("steal", f"the hypervisor took {_often(values, told, 'CPU time')}", remedy))
    ratios = [one["frequency_ratio"] for one in told if one.get("frequency_ratio")]
    slowed = [ratio for ratio in ratios if ratio < machine.MIN_FREQUENCY_RATIO]
    governor = details.get("governor")
    if slowed or governor not in (None, "performance"):
        words = [f"the clock fell to {percent(min(slowed))} within a run"] if slowed else []
        words += [f"the governor is {governor}"] if governor not in (None, "performance") else []
        remedy = "sudo cpupower frequency-set --governor performance; plug it in"
        found.append(NoiseSource("frequency", ", ".join(words), remedy))
    num_throttled = sum(one.get("num_throttled") or 0 for one in told)
    if num_throttled:
        remedy = "cool the machine, or use fewer threads"
        found.append(NoiseSource("heat", f"heat slowed a core {num_throttled} times", remedy))
    short = sum("of memory were free" in reason for one in told for reason in one.get("reasons", ()))
    if short:
        remedy = "close other programs"
        found.append(NoiseSource("memory", f"memory was short in {short} of {len(told)} runs", remedy))
    return found


def _of_times(seen: Noise, details: dict[str, Any], keeps_memory: bool) -> list[NoiseSource]:
    """What the times themselves show."""
    found = []
    if seen.two_valued:
        low, high = seen.two_valued
        found.append(
            NoiseSource(
                "two lengths",
                f"runs are of two lengths, {percent(high / low - 1)} apart",
                "a cache, a core or a thread's sleep decides which: bind the process (`pin_cpus`), "
                "set its `threads`, and repeat more",
            )
        )
    if abs(seen.order_effect) > max(CLEAR_SES * seen.order_se, MIN_EFFECT):
        by = percent(abs(math.expm1(seen.order_effect)), 1)
        slower = "slower" if seen.order_effect > 0 else "faster"
        found.append(
            NoiseSource(
                "order",
                f"a block's last run was {by} {slower} than its first",
                "heat, or a budget of burst time, builds up within a block: order is random, so that only "
                "more blocks help; use at least 6",
            )
        )
    if seen.num_outliers:
        found.append(
            NoiseSource(
                "outliers",
                f"{seen.num_outliers} runs far from all others",
                "look for jobs that start by the clock (backups, updates, indexing) and stop them",
            )
        )
    if seen.block_sd > QUIET_LOG_SD:
        drift = (
            f", {percent(abs(math.expm1(seen.drift)))} {'slower' if seen.drift > 0 else 'faster'} at the end"
        )
        found.append(
            NoiseSource(
                "machine drift",
                f"the machine's speed varied by {percent(math.expm1(seen.block_sd))} from block to block"
                + (drift if abs(seen.drift) > 2 * seen.block_sd else ""),
                "pairing by block takes it out of verdicts; absolute times need a quieter machine",
            )
        )
    if seen.log_sd > QUIET_LOG_SD and seen.cpu_explains is not None:
        by_system = (seen.system_explains or 0) >= EXPLAINED_SHARE
        found.append(_of_system(seen, keeps_memory) if by_system else _of_cpu(seen, details))
    return found


def _of_system(seen: Noise, keeps_memory: bool) -> NoiseSource:
    """Slow runs are those for which the system worked longer: nearly always, for their memory."""
    remedy = (
        "most often freed memory is given back to the system and got anew, page by page, and in a virtual "
        "machine what a page costs varies from process to process: try `keep_memory = true`, or --set "
        "keep_memory=true"
    )
    if keeps_memory:
        remedy = (
            "memory was kept, so that it is something else: threads that wake each other, disks, swapping"
        )
    return NoiseSource(
        "system time",
        f"the system's own work is {percent(seen.system_share or 0)} of the training time, and explains "
        f"{percent(seen.system_explains or 0)} of the variance of runs",
        remedy,
    )


def _of_cpu(seen: Noise, details: dict[str, Any]) -> NoiseSource:
    """Whether slow runs work longer or wait longer: what a hypervisor that reports no steal cannot hide."""
    share = f"{percent(seen.cpu_explains or 0)} of the variance of runs is variance of their CPU time"
    if (seen.cpu_explains or 0) >= EXPLAINED_SHARE:
        remedy = (
            "the same work takes the processor longer: its clock, its caches, or a neighbour on the other "
            "thread of its core; or its threads spin while they wait for one that was interrupted: fix the "
            "clock, stop other programs, bind to whole cores (`threads`, `pin_cpus`)"
        )
        return NoiseSource("slower work", share, remedy)
    remedy = "slow runs wait for a processor: stop other programs"
    if details.get("hypervisor"):
        remedy += ", or it is the host, which need not report what it takes: use a dedicated one"
    return NoiseSource("waiting", share, remedy)


def _residuals(table: Array, centre: Callable[..., Any] = np.mean) -> Array:
    """What is left of blocks and entries in a two-way layout, shape (num_blocks, num_entries)."""
    left: Array = table - centre(table, axis=1, keepdims=True)
    left -= centre(left, axis=0)
    return left


def _two_lengths(times: Array) -> tuple[float, float] | None:
    """The two levels that runs jump between, both of them in half of the blocks at least; None without."""
    levels = stats.two_valued(times.reshape(-1, 1))
    if levels is None:
        return None
    long = times > math.sqrt(levels[0] * levels[1])
    mixed = long.any(axis=1) & ~long.all(axis=1)
    return levels if mixed.mean() >= 0.5 else None


def _order_effect(positions: Array, residuals: Array, freedom: int) -> tuple[float, float]:
    """From the first place of a block to the last, by least squares, and its standard error."""
    places = _residuals(positions / max(float(positions.max()), 1.0))
    spread = float((places**2).sum())
    if spread == 0:
        return 0.0, math.inf
    slope = float((places * residuals).sum()) / spread
    left = float(((residuals - slope * places) ** 2).sum()) / max(freedom - 1, 1)
    return slope, math.sqrt(left / spread)


def _explained(wall: Array, cpu: Array) -> float:
    """Squared correlation."""
    if not wall.any() or not cpu.any():
        return 0.0
    return float(np.corrcoef(wall.ravel(), cpu.ravel())[0, 1]) ** 2


def _explained_by_system(logs: Array, system: Array) -> float:
    """Squared correlation of log times with the system's share; none where that varies by far less."""
    return _explained(logs, system) if system.std() >= 0.5 * logs.std() else 0.0


def _beyond(told: list[dict[str, Any]], name: str, limit: float) -> list[float]:
    """Values of the runs that passed the limit."""
    values = [one.get(name) for one in told]
    return [value for value in values if value is not None and value > limit]


def _often(values: list[float], told: list[dict[str, Any]], what: str) -> str:
    """``12 % of the CPU (median) in 5 of 40 runs``"""
    share = percent(float(np.median(values)))
    return f"{share} of the {what} (median) in {len(values)} of {len(told)} runs"
