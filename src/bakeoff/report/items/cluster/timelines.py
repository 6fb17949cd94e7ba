"""What each task slot did, second by second, in one run."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from bakeoff.report import vega
from bakeoff.report.item import Item
from bakeoff.report.items.cluster import kit
from bakeoff.report.items.cluster.budget import TITLES, WORKER_START
from bakeoff.report.items.cluster.runs import Cluster
from bakeoff.report.items.cluster.tasks import plain
from bakeoff.report.items.cluster.time_budget import part_fill

# Runs of which a timeline is drawn, and tasks of one run beyond which the rest is left out.
MAX_TIMELINES, MAX_TASKS = 4, 2000
# A training task that takes this many times the median of its stage is a straggler, as Spark's own
# `spark.speculation.multiplier` had it before version 4.
STRAGGLER = 1.5

# What is measured inside a task, in the order in which it goes through it: part and column.
_INSIDE = (
    ("worker_start", "worker_start_s"),
    ("import", "import_s"),
    ("data", "data_s"),
    ("build", "build_s"),
    ("training", "train_s"),
    ("exchange", "exchange_s"),
)
# The same with what a warm-up trains, which is undone.
_DRAWN = ("worker_start", "import", "data", "build", "training", "warm_up", "exchange")
# What a timeline needs to know of executors.
_EXECUTOR: Mapping[str, Any] = {
    "executor": pl.String,
    "num_cores": pl.Int64,
    "added_s": pl.Float64,
    "removed_s": pl.Float64,
    "removed_reason": pl.String,
}
_STRAGGLER, _LOST = f"straggler: over {STRAGGLER:g} × its stage’s median", "executor lost"
_FAILURE_SHAPES = ("cross", "square", "triangle-up", "triangle-down", "triangle-right")


def items(cluster: Cluster) -> Iterator[Item]:
    """One run of each contestant, that with the median total: of the first races, as far as there is room."""
    with_tasks = set(cluster.tasks["trial_id"]) if len(cluster.tasks) else set()
    shown = [
        contestant for contestant in cluster.distributed if contestant.contestant.trial_id in with_tasks
    ][:MAX_TIMELINES]
    for number, contestant in enumerate(shown, 1):
        runs = cluster.of(contestant).filter(
            pl.col("run_id").is_in(cluster.tasks["run_id"].unique().to_list())
        )
        run = runs.sort("total_s")["run_id"][(len(runs) - 1) // 2]
        tasks = cluster.tasks.filter(pl.col("run_id") == run).sort("launched_s")
        tasks = tasks.with_columns(worker_start_s=WORKER_START)
        executors = cluster.executors
        if len(executors):
            executors = executors.filter(pl.col("run_id") == run)
        left_out = len(tasks) - MAX_TASKS
        cut = f" Only its first {MAX_TASKS:,} tasks are drawn, {left_out:,} more ran." if left_out > 0 else ""
        repeat = runs.filter(run_id=run)["repeat"][0]
        task_cpus = int(contestant.settings.get("distribution_options.task_cpus") or 1)
        yield Item(
            f"timeline-{number}",
            f"Timeline of {contestant.at}",
            draw=partial(timeline, tasks.head(MAX_TASKS), executors, task_cpus),
            caption=f"Every task of one run of {contestant.at} on {cluster.section.title} (repeat {repeat}, "
            f"of the median total): a row for each slot, seconds since the application was launched.{cut}",
            alt=f"Timeline of {len(tasks)} tasks of {contestant.at}.",
            labels=(contestant.at,),
        )


def lanes(tasks: pl.DataFrame, task_cpus: int = 1) -> pl.DataFrame:
    """The tasks of one run with a column `lane`, such as ``executor 3 · core 2``.

    Tasks of an executor that overlap in time lie in different lanes, and no executor has more lanes than it
    ever ran tasks at once. Spark does not say which core ran a task: a lane is the lowest that was free. A
    task that takes several cores (`task_cpus`) lies in a ``slot``. Tasks without a time have no lane.
    """
    rows = tasks.select("executor", "launched_s", "finished_s", "task_id").rows()
    places: list[str | None] = [None] * len(rows)
    running: dict[str, list[tuple[float, int]]] = {}  # by executor: end and lane of each task
    free: dict[str, list[int]] = {}
    timed = [index for index, row in enumerate(rows) if None not in row[:3]]
    for index in sorted(timed, key=lambda index: rows[index][1:]):
        executor, launched, finished, _ = rows[index]
        busy, idle = running.setdefault(executor, []), free.setdefault(executor, [])
        while busy and busy[0][0] <= launched:
            heapq.heappush(idle, heapq.heappop(busy)[1])
        lane = heapq.heappop(idle) if idle else len(busy)
        heapq.heappush(busy, (finished, lane))
        places[index] = _lane(executor, lane, task_cpus)
    return tasks.with_columns(lane=pl.Series(places, dtype=pl.String))


def timeline(tasks: pl.DataFrame, executors: pl.DataFrame, task_cpus: int = 1) -> vega.Chart:
    """Every task of one run: a row per executor and core, seconds since the application was launched.

    A bar is one attempt of a task. It is split by its parts, added up in the order in which a task goes
    through them; the rest of its time (scheduler, serialization, results, ...) comes last. Attempts that
    failed are outlined. Signs mark failures with their reason, stragglers (training tasks longer than 1.5
    times their stage's median), and where an executor was lost. A row is shaded while its executor was
    there: shade without a bar is idle time.

    task_cpus: cores that each task takes; an executor's rows are its cores, or its slots if more than one.
    """
    placed = lanes(plain(tasks), task_cpus).filter(pl.col("lane").is_not_null())
    if not executors.columns:  # nothing is known of them
        executors = pl.DataFrame(schema=_EXECUTOR)
    times = pl.concat([placed["finished_s"], executors["added_s"], executors["removed_s"]])
    end = float(times.cast(pl.Float64).max() or 1.0)  # type: ignore[arg-type]
    rows = _rows(placed, executors, end, task_cpus)
    bars, signs = _bars(placed), _signs(placed, executors, rows)
    step = 18 if len(rows) <= 24 else 13 if len(rows) <= 60 else 9
    tops = rows.filter(pl.col("executor") != pl.col("executor").shift(fill_value=""))["lane"].to_list()
    # The executor is named once, in its first lane.
    known = json.dumps(tops, ensure_ascii=False)
    label = f"indexof({known}, datum.value) < 0 ? split(datum.value, ' · ')[1] : datum.value"
    y = vega.nominal(
        "lane",
        scale={"domain": rows["lane"].to_list(), "paddingInner": 0.2, "paddingOuter": 0.1},
        axis={"grid": False, "labelExpr": label, "labelFontSize": min(11, step - 2)},
    )

    def span(start: str, stop: str) -> vega.Spec:
        title, scale = "Seconds since the application was launched", {"domain": [0, end], "nice": False}
        return {"x": vega.quantity(start, title, scale, tickCount=8), "x2": {"field": stop}, "y": y}

    present: vega.Spec = {"color": vega.FAINT[0], "opacity": 0.16, "aria": False}
    layers = [vega.layer("bar", span("added", "until"), data="lanes", **present)]
    if len(tops) > 1:
        line = {"y": {"field": "lane", "type": "nominal", "bandPosition": 0}}
        look: vega.Spec = {"color": vega.FAINT[0], "strokeWidth": 0.7, "yOffset": -step / 10}
        layers.append(vega.layer("rule", line, data="tops", **look))
    measured = [part for part in _DRAWN if part in bars.columns]
    drawn = [part for part in (*_DRAWN, "other") if part in {*measured, *bars["base"]}]
    fill = part_fill([TITLES[part] for part in drawn])
    well = "datum.status == 'ok'"
    if drawn:
        whole = vega.layer("bar", {"fill": fill, **span("launched", "finished")}, when=well, aria=False)
        titles = json.dumps({part: TITLES[part] for part in drawn})
        whole["transform"].append({"calculate": f"({titles})[datum.base]", "as": "part"})
        layers.append(whole)
    for start, part in itertools.pairwise(["launched", *measured]):
        # What would be thinner than half a pixel takes the browser's time and shows nothing.
        thick = f"{well} && datum['{part}'] - datum['{start}'] > {end / (2 * vega.WIDTH):.3g}"
        inside = {"fill": {"datum": TITLES[part], "type": "nominal"}, **span(start, part)}
        layers.append(vega.layer("bar", inside, when=thick, aria=False))
    if (bars["status"] != "ok").any():
        outline: vega.Spec = {
            "fillOpacity": 0,
            "stroke": kit.WARNING[0],
            "strokeWidth": 1.2,
            "strokeDash": [3, 2],
        }
        failed = span("launched", "finished")
        layers.append(vega.layer("bar", failed, when="datum.status != 'ok'", aria=False, **outline))
    layers.append(_answering(measured, span("launched", "finished")))
    if len(signs):
        layers += _sign_layers(signs, {key: value for key, value in span("at", "").items() if key != "x2"})
    more = {
        "lanes": rows.to_dicts(),
        "tops": [{"lane": lane} for lane in tops[1:]],
        "signs": signs.to_dicts(),
    }
    return vega.chart(
        layers,
        bars,
        height=step * max(1, len(rows)),
        room=60 + 18 * (signs["sign"].n_unique() + len(drawn) // 2),
        names=[TITLES[part] for part in drawn],
        more={name: found for name, found in more.items() if found},
    )


def _lane(executor: str, index: int, task_cpus: int) -> str:
    name = executor if executor == "driver" else f"executor {executor}"
    return f"{name} · {'core' if task_cpus == 1 else 'slot'} {index + 1}"


def _rows(tasks: pl.DataFrame, executors: pl.DataFrame, end: float, task_cpus: int) -> pl.DataFrame:
    """Every lane, used or not, from top to bottom, and the seconds between which its executor was there."""
    known = {row["executor"]: row for row in executors.iter_rows(named=True)}
    used = dict(tasks.group_by("executor").agg(pl.col("lane").n_unique()).iter_rows())
    rows = []
    for executor in sorted({*known, *used}, key=_natural):
        about = known.get(executor, {"num_cores": 0, "added_s": 0.0, "removed_s": None})
        # The driver is listed with the executors, and runs tasks only where there are no others.
        cores = 0 if executor == "driver" else about["num_cores"] // task_cpus
        until = end if about["removed_s"] is None else about["removed_s"]
        for index in range(max(cores, used.get(executor, 0))):
            lane = _lane(executor, index, task_cpus)
            rows.append((executor, lane, round(about["added_s"], 3), round(until, 3)))
    schema = {"executor": pl.String, "lane": pl.String, "added": pl.Float64, "until": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _natural(executor: str) -> tuple[bool, int, str]:
    """Executors by number, then all others."""
    return (not executor.isdecimal(), int(executor) if executor.isdecimal() else 0, executor)


def _bars(tasks: pl.DataFrame) -> pl.DataFrame:
    """What is drawn of each task: where, from when to when, and the second at which each part is over.

    `base` is the part that the rest of the bar shows. Parts that no task has are no columns.
    """
    rows, present = [], set()
    for task in tasks.sort("launched_s", "task_id").iter_rows(named=True):
        ok, purpose = task["status"] == "ok", task["purpose"]
        spent = {part: task[column] for part, column in _INSIDE if ok and task[column] is not None}
        if purpose == "warm_up" and "training" in spent:
            spent["warm_up"] = spent.pop("training")
        words = [f"stage {task['stage']}", f"partition {task['partition']}"]
        words += [f"stage attempt {task['stage_attempt']}"] if task["stage_attempt"] else []
        words += [f"attempt {task['attempt']}"] if task["attempt"] else []
        over, finished = task["launched_s"], task["finished_s"]
        row = {
            "lane": task["lane"],
            "task": " · ".join(words),
            "purpose": purpose.replace("_", "-"),
            "status": task["status"],
            "launched": round(over, 3),
            "finished": round(finished, 3),
            # A task without Python of ours moves data.
            "base": None if not ok else "data" if purpose == "other" and not spent else "other",
        }
        for part in _DRAWN if spent else ():
            # Spark's clock and the task's differ a little: no part outlasts its task.
            over = min(over + spent.get(part, 0.0), finished)
            row[part] = round(over, 3)
        present |= {part for part, seconds in spent.items() if seconds > 0}
        rows.append(row)
    schema: dict[str, Any] = dict.fromkeys(("lane", "task", "purpose", "status", "base"), pl.String)
    schema |= dict.fromkeys(("launched", "finished", *_DRAWN), pl.Float64)
    return pl.DataFrame(rows, schema=schema).drop(part for part in _DRAWN if part not in present)


def _answering(measured: Sequence[str], span: vega.Spec) -> vega.Spec:
    """One surface a task with nothing to see, so that the whole of it answers the pointer."""
    spans = [
        f"(datum['{part}'] > datum['{start}'] ? ' · {part.replace('_', ' ')} ' + format(datum['{part}'] - "
        f"datum['{start}'], '.2f') : '')"
        for start, part in itertools.pairwise(["launched", *measured])
    ]
    tooltip = vega.tips({"where": "lane", "task": "task", "purpose": "purpose", "status": "status"})
    tooltip.append({"field": "seconds", "type": "quantitative", "format": ",.2f", "title": "seconds"})
    tooltip += vega.tips({"of which": "inside"})
    known = vega.layer("bar", {**span, "tooltip": tooltip}, fillOpacity=0)
    known["transform"] = [
        {"calculate": "datum.finished - datum.launched", "as": "seconds"},
        {"calculate": f"slice({' + '.join(spans) or repr('')}, 3)", "as": "inside"},
    ]
    return known


def _signs(tasks: pl.DataFrame, executors: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Stragglers, failures and lost executors: what, in which lane, at which second."""
    seconds = pl.col("finished_s") - pl.col("launched_s")
    good = tasks.filter(pl.col("purpose") == "training", pl.col("status") == "ok")
    slow = good.filter(seconds > STRAGGLER * seconds.median().over("stage"))
    failed = tasks.filter(pl.col("status") != "ok")
    lost = executors.filter(pl.col("removed_s").is_not_null())
    lost = rows.join(lost, on="executor", maintain_order="left")
    middle, reason = pl.col("launched_s") + seconds / 2, pl.lit("failed: ") + pl.col("status")
    signs = [
        slow.select("lane", at="finished_s", sign=pl.lit(_STRAGGLER), why=pl.lit("")),
        failed.select("lane", at=middle, sign=reason, why=pl.lit("")),
        lost.select("lane", at="removed_s", sign=pl.lit(_LOST), why="removed_reason"),
    ]
    return pl.concat(signs, how="vertical_relaxed").with_columns(pl.col("at").round(3))


def _sign_layers(signs: pl.DataFrame, where: vega.Spec) -> list[vega.Spec]:
    failures = sorted({sign for sign in signs["sign"] if sign not in (_STRAGGLER, _LOST)})
    looks = {_STRAGGLER: ("diamond", vega.INK[0]), _LOST: ("M-0.3,-1.3H0.3V1.3H-0.3Z", kit.WARNING[0])}
    looks |= {
        sign: (_FAILURE_SHAPES[index % len(_FAILURE_SHAPES)], kit.WARNING[0])
        for index, sign in enumerate(failures)
    }
    present = [sign for sign in (_STRAGGLER, *failures, _LOST) if sign in set(signs["sign"])]
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 320, "symbolStrokeWidth": 0}
    shape, colour = (
        vega.nominal(
            "sign",
            scale={"domain": present, "range": [looks[sign][of] for sign in present]},
            sort=None,
            legend=legend,
        )
        for of in (0, 1)
    )
    lost = {**where, "color": colour, "tooltip": vega.tips({"sign": "sign", "reason": "why"})}
    point = {
        **where,
        "color": colour,
        "shape": shape,
        "tooltip": vega.tips({"sign": "sign", "where": "lane"}),
    }
    dot: vega.Spec = {"size": 46, "filled": True, "opacity": 1, "stroke": kit.PAGE[0], "strokeWidth": 0.8}
    is_lost = f"datum.sign == '{_LOST}'"
    return [
        vega.layer("tick", lost, when=is_lost, data="signs", thickness=3, bandSize=18, opacity=1),
        vega.layer("point", point, when=f"!({is_lost})", data="signs", **dot),
    ]
