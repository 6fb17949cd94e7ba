"""Charts of distributed runs: polars frames in, Altair charts out, as in `bakeoff.report.figures`.

Tasks and executors come as `bakeoff.store.Reader` gives them, or with the very columns of the worker's
``TaskRecord`` and ``ExecutorRecord``. What was not measured is null and left out, never drawn as zero. A part
of the time has one colour in every chart (`PART_COLOURS`), training the strongest. In charts of contestants
the colour tells the backend, and the label beside a row the rest.

A dark page needs `DARK` beside the table of `bakeoff.report.figures`.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from bakeoff.metrics import RATIO, Metric
from bakeoff.registry import backend_rank
from bakeoff.report.cluster.budget import TITLES
from bakeoff.report.figures import (
    CONFIG,
    DASHES,
    FAINT,
    HEIGHT,
    INK,
    MAX_DOTS,
    SHAPES,
    SPARE_COLOURS,
    WIDTH,
    Figure,
    Palette,
    finish,
)
from bakeoff.stats import POSITIVE, summarize

# A training task that takes this many times the median of its stage is a straggler, as Spark's own
# `spark.speculation.multiplier` had it before version 4.
STRAGGLER = 1.5

# One colour per part of `budget.PARTS`, light page and dark page. Neighbours in a bar stay apart for
# colour-blind eyes, and training from all others (tests/report/test_cluster_figures.py measures both).
PART_COLOURS: Mapping[str, tuple[str, str]] = {
    "training": ("#3f56e8", "#528ffd"),
    "exchange": ("#1a5a43", "#bbdb82"),
    "build": ("#9e590e", "#e79e61"),
    "data": ("#469cc2", "#8be0da"),
    "import": ("#bd8030", "#b08551"),
    "worker_start": ("#491e6b", "#6f5fa0"),
    "warm_up": ("#708df7", "#adb4d7"),
    "shuffle": ("#4d6054", "#127969"),
    "serialization": ("#323c22", "#835e0f"),
    "scheduler": ("#83677f", "#a77bb6"),
    "gc": ("#3b541c", "#8ecdbd"),
    "failed": ("#cf553d", "#f45131"),
    "other": ("#8a8d8d", "#878089"),
    "stragglers": ("#b0a9a5", "#6f6149"),
    "driver": ("#c9cdcf", "#444a50"),
    "absent": ("#eceef2", "#292f32"),
}
# Parts in which nobody works: paler than the rest.
IDLE = ("stragglers", "driver", "absent")
WARNING = ("#cf222e", "#ff7b72")
# What is written on a coloured surface, and what keeps two of them apart.
PAGE = ("#ffffff", "#14171c")
# Colours in these charts as drawn on a light page, and what a dark page has in their place.
DARK: Mapping[str, str] = dict([*PART_COLOURS.values(), WARNING, PAGE])

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
_SECONDS = Metric("task_s", "Task time", "s")
_TOTAL = Metric("total_s", "Total time since launch", "s")
_SHARE = Metric("share", "Share of core time", "%", factor=100, max_decimals=1)


# ---- one run ------------------------------------------------------------------------------------


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


def timeline(tasks: pl.DataFrame, executors: pl.DataFrame, task_cpus: int = 1) -> Figure:
    """Every task of one run: a row per executor and core, seconds since the application was launched.

    A bar is one attempt of a task. It is split by its parts, added up in the order in which a task goes
    through them; the rest of its time (scheduler, serialization, results, ...) comes last. Attempts that
    failed are outlined. Signs mark failures with their reason, stragglers (training tasks longer than 1.5
    times their stage's median), and where an executor was lost. A row is shaded while its executor was
    there: shade without a bar is idle time.

    task_cpus: cores that each task takes; an executor's rows are its cores, or its slots if more than one.
    """
    placed = lanes(_plain(tasks), task_cpus).filter(pl.col("lane").is_not_null())
    if not executors.columns:  # nothing is known of them
        executors = pl.DataFrame(schema=_EXECUTOR)
    times = pl.concat([placed["finished_s"], executors["added_s"], executors["removed_s"]])
    end = float(times.cast(pl.Float64).max() or 1.0)  # type: ignore[arg-type]
    rows = _rows(placed, executors, end, task_cpus)
    bars, signs = _bars(placed), _signs(placed, executors, rows)
    step = 18 if len(rows) <= 24 else 13 if len(rows) <= 60 else 9
    tops = rows.filter(pl.col("executor") != pl.col("executor").shift(fill_value=""))["lane"].to_list()
    y = alt.Y(
        "lane:N",
        title=None,
        scale=alt.Scale(domain=rows["lane"].to_list(), paddingInner=0.2, paddingOuter=0.1),
        axis=alt.Axis(grid=False, labelExpr=_short_label(tops), labelFontSize=min(11, step - 2)),
    )
    title, scale = "Seconds since the application was launched", alt.Scale(domain=[0, end], nice=False)

    def span(start: str, stop: str) -> dict[str, Any]:
        x = alt.X(f"{start}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=8))
        return {"x": x, "x2": f"{stop}:Q", "y": y}

    present = alt.Chart(rows).mark_bar(color=FAINT[0], opacity=0.16, aria=False)
    layers = [present.encode(**span("added", "until"))]
    if len(tops) > 1:
        between = alt.Chart(pl.DataFrame({"lane": tops[1:]}))
        line = between.mark_rule(color=FAINT[0], strokeWidth=0.7, yOffset=-step / 10)
        layers.append(line.encode(y=alt.Y("lane:N", bandPosition=0)))
    base = alt.Chart(bars)
    measured = [part for part in _DRAWN if part in bars.columns]
    drawn = [part for part in (*_DRAWN, "other") if part in {*measured, *bars["base"]}]
    fill = _part_fill([TITLES[part] for part in drawn])
    well = base.transform_filter("datum.status == 'ok'")
    if drawn:
        words = f"({json.dumps({part: TITLES[part] for part in drawn})})[datum.base]"
        whole = well.transform_calculate(part=words).mark_bar(aria=False)
        layers.append(whole.encode(fill=alt.Fill("part:N", **fill), **span("launched", "finished")))
    for start, part in itertools.pairwise(["launched", *measured]):
        # What would be thinner than half a pixel takes the browser's time and shows nothing.
        thick = f"datum['{part}'] - datum['{start}'] > {end / (2 * WIDTH):.3g}"
        inside = well.transform_filter(thick).mark_bar(aria=False)
        layers.append(inside.encode(fill=alt.datum(TITLES[part], type="nominal"), **span(start, part)))
    if (bars["status"] != "ok").any():
        dashed: dict[str, Any] = {
            "fillOpacity": 0,
            "stroke": WARNING[0],
            "strokeWidth": 1.2,
            "strokeDash": [3, 2],
        }
        outline = base.transform_filter("datum.status != 'ok'").mark_bar(aria=False, **dashed)
        layers.append(outline.encode(**span("launched", "finished")))
    layers.append(_answering(base, measured).encode(**span("launched", "finished")))
    if len(signs):
        layers += _sign_layers(signs, {key: value for key, value in span("at", "").items() if key != "x2"})
    height = step * max(1, len(rows))
    chart = alt.layer(*layers).properties(width=WIDTH, height=height)
    room = 60 + 18 * (signs["sign"].n_unique() + len(drawn) // 2)
    return _wrapped(chart, [TITLES[part] for part in drawn], height=height + room)


def _plain(tasks: pl.DataFrame) -> pl.DataFrame:
    """Tasks under the record's own names; the reader's frame has the run's status and attempt beside them."""
    if "task_status" not in tasks.columns:
        return tasks
    of_task = {"task_status": "status", "task_attempt": "attempt"}
    return tasks.drop("status", "attempt", strict=False).rename(of_task)


def _lane(executor: str, index: int, task_cpus: int) -> str:
    name = executor if executor == "driver" else f"executor {executor}"
    return f"{name} · {'core' if task_cpus == 1 else 'slot'} {index + 1}"


def _short_label(tops: Sequence[str]) -> str:
    """Vega's expression for a lane's label: the executor is named once, in its first lane."""
    names = json.dumps(tops, ensure_ascii=False)
    return f"indexof({names}, datum.value) < 0 ? split(datum.value, ' · ')[1] : datum.value"


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


def _answering(bars: alt.Chart, measured: Sequence[str]) -> Any:
    """One surface a task with nothing to see, so that the whole of it answers the pointer."""
    spans = [
        f"(datum['{part}'] > datum['{start}'] ? "
        f"' · {part.replace('_', ' ')} ' + format(datum['{part}'] - datum['{start}'], '.2f') : '')"
        for start, part in itertools.pairwise(["launched", *measured])
    ]
    known = bars.transform_calculate(
        seconds="datum.finished - datum.launched", inside=f"slice({' + '.join(spans) or repr('')}, 3)"
    )
    return known.mark_bar(fillOpacity=0).encode(
        tooltip=[
            alt.Tooltip("lane:N", title="where"),
            alt.Tooltip("task:N"),
            alt.Tooltip("purpose:N"),
            alt.Tooltip("status:N"),
            alt.Tooltip("seconds:Q", format=",.2f"),
            alt.Tooltip("inside:N", title="of which"),
        ]
    )


_STRAGGLER, _LOST = f"straggler: over {STRAGGLER:g} × its stage’s median", "executor lost"
_FAILURE_SHAPES = ("cross", "square", "triangle-up", "triangle-down", "triangle-right")


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


def _sign_layers(signs: pl.DataFrame, where: Mapping[str, Any]) -> list[alt.Chart]:
    failures = sorted({sign for sign in signs["sign"] if sign not in (_STRAGGLER, _LOST)})
    looks = {_STRAGGLER: ("diamond", INK[0]), _LOST: ("M-0.3,-1.3H0.3V1.3H-0.3Z", WARNING[0])}
    looks |= {
        sign: (_FAILURE_SHAPES[index % len(_FAILURE_SHAPES)], WARNING[0])
        for index, sign in enumerate(failures)
    }
    present = [sign for sign in (_STRAGGLER, *failures, _LOST) if sign in set(signs["sign"])]
    shapes = alt.Scale(domain=present, range=[looks[sign][0] for sign in present])
    colours = alt.Scale(domain=present, range=[looks[sign][1] for sign in present])
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=320, symbolStrokeWidth=0)
    colour = alt.Color("sign:N", title=None, scale=colours, sort=None, legend=legend)
    shape = alt.Shape("sign:N", title=None, scale=shapes, sort=None, legend=legend)
    base = alt.Chart(signs).encode(color=colour, **where)
    lost = base.transform_filter(f"datum.sign == '{_LOST}'").mark_tick(thickness=3, bandSize=18, opacity=1)
    points = base.transform_filter(f"datum.sign != '{_LOST}'").mark_point(
        size=46, filled=True, opacity=1, stroke=PAGE[0], strokeWidth=0.8
    )
    return [
        lost.encode(tooltip=[alt.Tooltip("sign:N"), alt.Tooltip("why:N", title="reason")]),
        points.encode(shape=shape, tooltip=[alt.Tooltip("sign:N"), alt.Tooltip("lane:N", title="where")]),
    ]


# ---- contestants --------------------------------------------------------------------------------


def time_budget(budget: pl.DataFrame) -> Figure:
    """What the core time of each contestant went into: a bar of 100 % each, split by part.

    budget: a row per `contestant` and `part` (a name or a title of `budget.PARTS`), with its place from the
    left (`order`), its core-seconds (`core_s`) and their `share` of all, a fraction in [0, 1]. Bars come in
    the order of the frame. A click in the legend picks a part out.
    """
    known = budget.filter(pl.col("share").is_finite(), pl.col("share") > 0)
    names = known["contestant"].unique(maintain_order=True).to_list()
    known = known.sort("order", maintain_order=True).with_columns(pl.col("part").replace(TITLES))
    parts = known["part"].unique(maintain_order=True).to_list()
    share, stop = pl.col("share"), pl.col("share").cum_sum().over("contestant")
    frame = known.select(
        "contestant",
        "part",
        start=(100 * (stop - share)).round(3),
        stop=(100 * stop).round(3),
        shown=pl.Series(_SHARE.texts(known["share"]), dtype=pl.String) + " %",
        core_s=pl.Series(_SECONDS.texts(known["core_s"]), dtype=pl.String),
        label=(100 * share).round(0).cast(pl.Int64),
        idle=pl.col("part").is_in([TITLES[part] for part in IDLE]),
    )
    pick = alt.selection_point(name="pick", fields=["part"], bind="legend", toggle="true")
    end = max(100.0, float(frame["stop"].max() or 0))  # type: ignore[arg-type]
    scale, axis = alt.Scale(domain=[0, end], nice=False), alt.Axis(grid=True, domain=False, tickCount=5)
    x = alt.X("start:Q", title=_SHARE.heading, axis=axis, scale=scale)
    base = alt.Chart(frame).encode(y=_row("contestant", names))
    bars = base.mark_bar(height={"band": 0.78}, stroke=PAGE[0], strokeWidth=1).encode(
        x=x,
        x2="stop:Q",
        fill=alt.Fill("part:N", sort=None, **_part_fill(parts)),
        opacity=alt.condition(pick, alt.value(1), alt.value(0.2)),
        tooltip=[
            "contestant:N",
            "part:N",
            alt.Tooltip("shown:N", title="share"),
            alt.Tooltip("core_s:N", title="core-seconds"),
        ],
    )
    # Where a number fits into its surface, 30 pixels; elsewhere the tooltip has it.
    fits = "(datum.stop - datum.start) * width > 3000"
    labelled = base.transform_filter(fits).transform_calculate(
        middle="(datum.start + datum.stop) / 2", words="datum.label + ' %'"
    )
    labels = labelled.mark_text(fontSize=11, aria=False).encode(
        x="middle:Q",
        text="words:N",
        color=alt.condition("datum.idle", alt.value(INK[0]), alt.value(PAGE[0])),
    )
    height = 32 * max(1, len(names))
    chart = alt.layer(bars, labels).add_params(pick).properties(width=WIDTH, height=height)
    return _wrapped(chart, parts, height=height + 60 + 9 * len(parts))


def task_times(tasks: pl.DataFrame) -> Figure:
    """How long the training tasks of each contestant took, all runs together: seconds from launch to end.

    The thin line reaches from the shortest to the longest, the thicker ones hold 90 % and 50 % of the tasks,
    and the tick is the mean of the runs' medians. Up to 40 tasks are drawn each. Attempts that failed, tasks
    that did not train, and runs that did not end well are left out.
    """
    if "task_status" in tasks.columns:
        tasks = _plain(_well(tasks))
    seconds = pl.col("finished_s") - pl.col("launched_s")
    trained = tasks.filter(pl.col("purpose") == "training", pl.col("status") == "ok")
    trained = _ranked(trained.with_columns(seconds=seconds).filter(seconds > 0, seconds.is_finite()))
    rows: list[dict[str, Any]] = []
    for (contestant, backend), group in trained.group_by(["contestant", "backend"], maintain_order=True):
        rows += _task_rows(group, {"contestant": contestant, "backend": backend})
    schema: dict[str, Any] = dict.fromkeys(("contestant", "backend", "kind"), pl.String)
    schema |= dict.fromkeys(("shown", "half", "range"), pl.String)
    schema |= dict.fromkeys(("value", *_QUANTILES), pl.Float64)
    schema |= dict.fromkeys(("num", "runs", "repeat"), pl.Int64)
    frame = pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).round_sig_figs(5))
    names = frame["contestant"].unique(maintain_order=True).to_list()
    title = "Training task, from launch to end (s)"
    base = alt.Chart(frame).encode(y=_row("contestant", names), color=_backend_colour(frame))
    whole, single = (base.transform_filter(f"datum.kind == '{kind}'") for kind in ("all", "task"))
    layers = [
        whole.mark_rule(strokeWidth=width, opacity=opacity).encode(x=_seconds(low, title), x2=f"{high}:Q")
        for low, high, width, opacity in (
            ("q0", "q100", 1, 0.7),
            ("q5", "q95", 5, 0.35),
            ("q25", "q75", 14, 0.45),
        )
    ]
    if (frame["kind"] == "task").any():
        tooltip = ["contestant:N", alt.Tooltip("shown:N", title="seconds"), "repeat:Q"]
        dots = single.mark_point(size=24, strokeWidth=1, opacity=0.8)
        layers.append(dots.encode(x=_seconds("value", title), tooltip=tooltip))
    tooltip = [
        "contestant:N",
        alt.Tooltip("shown:N", title="mean of medians, seconds"),
        alt.Tooltip("half:N", title="half of the tasks"),
        alt.Tooltip("range:N", title="all tasks"),
        alt.Tooltip("num:Q", title="tasks"),
        alt.Tooltip("runs:Q"),
    ]
    ticks = whole.mark_tick(thickness=3, size=24, opacity=1)
    layers.append(ticks.encode(x=_seconds("value", title), tooltip=tooltip))
    return _rows_of(layers, names, 34, switch="x")


_QUANTILES: Mapping[str, float] = {"q0": 0.0, "q5": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95, "q100": 1.0}


def _task_rows(tasks: pl.DataFrame, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One contestant's distribution, and its tasks while they are few."""
    times = tasks["seconds"]
    medians = tasks.group_by("run_id", maintain_order=True).agg(pl.col("seconds").median())["seconds"]
    mean = float(medians.mean())  # type: ignore[arg-type]
    ends = {name: times.quantile(share, "linear") for name, share in _QUANTILES.items()}
    texts = dict(zip(("mean", *ends), _SECONDS.texts([mean, *ends.values()]), strict=True))
    whole = {
        "kind": "all",
        "value": mean,
        "shown": texts["mean"],
        "half": f"{texts['q25']} to {texts['q75']}",
        "range": f"{texts['q0']} to {texts['q100']}",
        "num": len(times),
        "runs": len(medians),
    }
    rows = [{**common, **whole, **ends}]
    if len(times) <= MAX_DOTS:
        dots = zip(times, _SECONDS.texts(times), tasks["repeat"], strict=True)
        for value, shown, repeat in dots:
            rows.append({**common, "kind": "task", "value": value, "shown": shown, "repeat": repeat})
    return rows


def layouts(runs: pl.DataFrame) -> Figure:
    """Total seconds of each run by backend and layout: every run a dot, their mean, its 95 % interval.

    Intervals are drawn from three runs on. Runs without a total (`total_s`), and those that did not end well,
    are left out.
    """
    good = _with_lines(_ranked(_well(runs).filter(pl.col("total_s").is_finite())))
    rows: list[dict[str, Any]] = []
    for (line, backend), group in good.group_by(["line", "backend"], maintain_order=True):
        common = {"line": line, "backend": backend}
        dots = zip(group["total_s"], _TOTAL.texts(group["total_s"]), group["repeat"], strict=True)
        for value, shown, repeat in dots:
            rows.append({**common, "kind": "run", "value": value, "shown": shown, "num": repeat})
        summary = summarize(group["total_s"].to_numpy(), bounds=POSITIVE)
        low, high = summary.low, summary.high
        mean = {
            "kind": "mean",
            "value": summary.mean,
            "low": low,
            "high": high,
            "shown": _TOTAL.text(summary.mean),
            "interval": " to ".join(_TOTAL.texts([low, high])),
            "num": summary.num,
        }
        rows.append({**common, **mean})
    schema: dict[str, Any] = dict.fromkeys(("line", "backend", "kind", "shown", "interval"), pl.String)
    schema |= dict.fromkeys(("value", "low", "high"), pl.Float64) | {"num": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).round_sig_figs(5))
    names = frame["line"].unique(maintain_order=True).to_list()
    base = alt.Chart(frame).encode(y=_row("line", names), color=_backend_colour(frame))
    means, single = (base.transform_filter(f"datum.kind == '{kind}'") for kind in ("mean", "run"))
    interval = means.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=5, opacity=0.35)
    dots_tooltip = [_WHO, alt.Tooltip("shown:N", title="seconds"), alt.Tooltip("num:Q", title="repeat")]
    mean_tooltip = [
        _WHO,
        alt.Tooltip("shown:N", title="mean, seconds"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("num:Q", title="runs"),
    ]
    x = _seconds("value", _TOTAL.heading)
    layers = [
        *_if_any(frame, interval.encode(x=_seconds("low", _TOTAL.heading), x2="high:Q")),
        single.mark_point(size=48, strokeWidth=1.4, opacity=1).encode(x=x, tooltip=dots_tooltip),
        means.mark_tick(thickness=3, size=22, opacity=1).encode(x=x, tooltip=mean_tooltip),
    ]
    return _rows_of(layers, names, 30, switch="x")


def speed_up(table: pl.DataFrame) -> Figure:
    """How many times faster than one machine each contestant and layout is, with the 95 % interval.

    table: a row per contestant and layout: `ratio` with `low` and `high` (null: no interval), `num_cpus`, the
    cores that are really there, and `num_slots`, the tasks that run at once. One line is at 1: no faster than
    one machine. A tick in each row is the ideal: as many times faster as there are cores. Points are filled
    where the interval excludes 1. Rows without a ratio are left out.
    """
    good = _with_lines(_ranked(table.filter(pl.col("ratio").is_finite(), pl.col("ratio") > 0)))
    frame = good.select(
        "line",
        "backend",
        *_short(good, "ratio", "low", "high"),
        "num_cpus",
        "num_slots",
        shown=pl.Series(RATIO.texts(good["ratio"]), dtype=pl.String),
        interval=_intervals(good, RATIO),
        efficiency=pl.Series(_SHARE.texts(good["ratio"] / good["num_cpus"]), dtype=pl.String) + " %",
        decided=((pl.col("low") > 1) | (pl.col("high") < 1)).fill_null(False),
    )
    names = frame["line"].unique(maintain_order=True).to_list()
    # An interval of two pairs may span powers of ten: it is cut where it would hide all the others.
    seen = [1.0, *frame["ratio"], *frame["num_cpus"].drop_nulls()]
    low, high = (min([*seen, *frame["low"].drop_nulls()]), max([*seen, *frame["high"].drop_nulls()]))
    domain = [0.8 * min(max(low, min(seen) / 3), 0.7), 1.2 * min(high, 3 * max(seen))]
    title = "Times faster than one machine"
    scale = alt.Scale(type="log", domain=domain, nice=False, clamp=True)

    def x(column: str) -> alt.X:
        axis = alt.Axis(grid=True, domain=False, tickCount=6, format="~r")
        return alt.X(f"{column}:Q", title=title, axis=axis, scale=scale)

    def above(words: str, value: float, y: int, align: Any) -> Any:
        text = alt.Chart(pl.DataFrame({"words": [words], "at": [value]}))
        text = text.mark_text(fontSize=11, color=INK[0], align=align, aria=False)
        return text.encode(x=x("at"), y=alt.value(y), text="words:N")

    base = alt.Chart(frame).encode(y=_row("line", names))
    one = alt.Chart(pl.DataFrame({"at": [1.0]})).mark_rule(strokeDash=[3, 3], color=INK[0], opacity=0.7)
    layers = [one.encode(x=x("at")), above("one machine", 1.0, -8, "center")]
    cores = sorted(set(frame["num_cpus"].drop_nulls()))
    if cores:
        ticks = base.transform_filter("isValid(datum.num_cpus)")
        ticks = ticks.mark_tick(thickness=2.5, size=24, color=INK[0], opacity=0.8)
        words = f"ideal: {cores[0]} cores" if len(cores) == 1 else "ideal: as many as cores"
        layers += [ticks.encode(x=x("num_cpus")), above(words, float(cores[-1]), -22, "right")]
    colour = _backend_colour(frame)
    ends = base.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_rule(strokeWidth=2.5)
    points = base.mark_point(size=80, opacity=1, strokeWidth=2).encode(
        x=x("ratio"),
        color=colour,
        fill=_backend_colour(frame, alt.Fill),
        fillOpacity=alt.condition("datum.decided", alt.value(1), alt.value(0)),
        tooltip=[
            _WHO,
            alt.Tooltip("shown:N", title="times faster"),
            alt.Tooltip("interval:N", title="95 % interval"),
            alt.Tooltip("efficiency:N", title="of the ideal"),
            alt.Tooltip("num_cpus:Q", title="cores there"),
            alt.Tooltip("num_slots:Q", title="task slots"),
        ],
    )
    layers += [*_if_any(frame, ends.encode(x=x("low"), x2="high:Q", color=colour)), points]
    return _rows_of(layers, names, 30, room=84)


def data_scale(table: pl.DataFrame) -> Figure:
    """Training seconds against how many times the training set is repeated, both axes logarithmic.

    table: a row per contestant, layout (null, or `distribution` ``single``: one machine) and `data_scale`,
    with the mean `train_s` and its interval `low`, `high` (null: none). The colour tells the backend, symbol
    and dash its layouts apart. The guide rises in proportion to the data.
    """
    good = table.filter(pl.col("train_s").is_finite(), pl.col("train_s") > 0)
    on_cluster = pl.when(pl.col("distribution") != "single").then(pl.col("layout"))
    good = _with_lines(_ranked(good.with_columns(layout=on_cluster)))
    lines = good.select("line", "backend").unique(maintain_order=True)
    lines = lines.with_columns(place=pl.int_range(pl.len()).over("backend"))
    good = good.join(lines.select("line", "place"), on="line", maintain_order="left").sort(
        "place", "data_scale", maintain_order=True
    )
    frame = good.select(
        "line",
        "data_scale",
        *_short(good, "train_s", "low", "high"),
        dash=pl.col("place").cast(pl.String),
        shown=pl.Series(_SECONDS.texts(good["train_s"]), dtype=pl.String),
        interval=_intervals(good, _SECONDS),
    ).with_columns(low=pl.when(pl.col("low") > 0).then("low"))  # zero has no logarithm
    names, scales = lines["line"].to_list(), sorted(set(frame["data_scale"]))
    by_backend = dict(zip(*_backend_looks(lines), strict=True))
    colours = alt.Scale(domain=names, range=[by_backend[backend] for backend in lines["backend"]])
    symbols = alt.Scale(domain=names, range=[SHAPES[place % len(SHAPES)] for place in lines["place"]])
    places = sorted(set(lines["place"]))
    patterns = [list(DASHES[place % len(DASHES)]) for place in places]
    dashes = alt.Scale(domain=[str(place) for place in places], range=patterns)
    ends = [scales[0], scales[-1]] if len(scales) > 1 else [0.5, 2]
    x = alt.X(
        "data_scale:Q",
        title="Training set, times its size",
        scale=alt.Scale(type="log", base=2, domain=ends, nice=False, padding=14),
        axis=alt.Axis(values=scales, format="d", grid=False),
    )

    def y(column: str) -> alt.Y:
        scale, axis = alt.Scale(type="log", nice=False), alt.Axis(tickCount=5, format=",~r")
        return alt.Y(f"{column}:Q", title="Training time (s)", scale=scale, axis=axis)

    layers = []
    first = frame.filter(pl.col("data_scale") == scales[0])["train_s"].min() if scales else None
    if len(scales) > 1 and first is not None:
        below, middle = 0.7 * float(first), (ends[0] * ends[1]) ** 0.5  # type: ignore[arg-type]
        rise = pl.DataFrame({"data_scale": [ends[0], middle, ends[1]]}, schema={"data_scale": pl.Float64})
        rise = rise.with_columns(
            train_s=below * pl.col("data_scale") / ends[0],
            words=pl.Series([None, "in proportion to the data", None]),
        )
        guide = alt.Chart(rise).encode(x=x, y=y("train_s"))
        layers += [
            guide.mark_line(strokeWidth=1, strokeDash=[1, 3], color=INK[0], aria=False),
            guide.transform_filter("isValid(datum.words)")
            .mark_text(align="left", dx=6, dy=12, fontSize=11, color=INK[0], aria=False)
            .encode(text="words:N"),
        ]
    pick = alt.selection_point(name="pick", fields=["line"], bind="legend", toggle="true")
    base = alt.Chart(frame).encode(
        x=x,
        color=alt.Color("line:N", title=None, sort=None, scale=colours),
        opacity=alt.condition(pick, alt.value(1), alt.value(0.1)),
    )
    interval = base.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_rule(strokeWidth=1.2)
    dash = alt.StrokeDash("dash:N", title=None, sort=None, legend=None, scale=dashes)
    points = base.mark_point(size=70, filled=True).encode(
        y=y("train_s"),
        shape=alt.Shape("line:N", title=None, sort=None, scale=symbols),
        tooltip=[
            _WHO,
            alt.Tooltip("data_scale:Q", title="times the data"),
            alt.Tooltip("shown:N", title="seconds"),
            alt.Tooltip("interval:N", title="95 % interval"),
        ],
    )
    layers += [
        *_if_any(frame, interval.encode(y=y("low"), y2="high:Q")),
        base.mark_line(strokeWidth=1.8).encode(y=y("train_s"), strokeDash=dash),
        points,
    ]
    chart = alt.layer(*layers).add_params(pick).properties(width=WIDTH, height=HEIGHT)
    return _wrapped(chart, names, switch="y", height=HEIGHT + 60 + 9 * len(names))


# ---- shared -------------------------------------------------------------------------------------

_WHO = alt.Tooltip("line:N", title="contestant")


def _well(frame: pl.DataFrame) -> pl.DataFrame:
    """Of runs that ended well, where the frame says how they ended."""
    return frame.filter(pl.col("status") == "ok") if "status" in frame.columns else frame


def _ranked(frame: pl.DataFrame) -> pl.DataFrame:
    """Backends in the order of a report, the rows of each as they come."""
    rank = pl.Series("rank", [backend_rank(backend) for backend in frame["backend"]], dtype=pl.Int64)
    return frame.with_columns(rank).sort("rank", maintain_order=True).drop("rank")


def _with_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """With a column `line`: the contestant and its layout (null: one machine), said once."""
    names = []
    for contestant, layout in frame.select("contestant", "layout").iter_rows():
        words = "one machine" if layout is None else layout.replace("x", " × ")
        said = words in contestant or (layout is not None and layout in contestant)
        names.append(contestant if said else f"{contestant} · {words}")
    return frame.with_columns(line=pl.Series(names, dtype=pl.String))


def _short(frame: pl.DataFrame, *columns: str) -> list[pl.Series]:
    """Five significant digits: more than a figure shows."""
    return [frame[column].cast(pl.Float64).round_sig_figs(5) for column in columns]


def _intervals(frame: pl.DataFrame, metric: Metric) -> pl.Series:
    """The intervals of a frame with `low` and `high`, in words."""
    ends = frame.select("low", "high").iter_rows()
    return pl.Series([" to ".join(metric.texts(both)) for both in ends], dtype=pl.String)


def _if_any(frame: pl.DataFrame, intervals: alt.Chart) -> list[alt.Chart]:
    """The layer of intervals, if there is one to draw: Vega complains of a field without values."""
    return [intervals] if frame["low"].is_not_null().any() else []


def _row(column: str, names: Sequence[str]) -> alt.Y:
    """A row for each name, in this order."""
    return alt.Y(f"{column}:N", title=None, sort=list(names), axis=alt.Axis(grid=False, labelLimit=330))


def _seconds(column: str, title: str) -> alt.X:
    """An axis of seconds that a page may make logarithmic."""
    axis, scale = alt.Axis(grid=True, domain=False, tickCount=6), alt.Scale(type="linear", zero=True)
    return alt.X(f"{column}:Q", title=title, axis=axis, scale=scale)


def _backend_looks(frame: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The backends of a frame, and the colour of each."""
    palette = Palette.of((backend, backend) for backend in frame["backend"].unique(maintain_order=True))
    return palette.names, palette.colours


def _backend_colour(frame: pl.DataFrame, channel: Callable[..., Any] = alt.Color) -> Any:
    """The colour, or fill, that tells the backend; rows have their names beside them, so no legend."""
    names, colours = _backend_looks(frame)
    scale = alt.Scale(domain=list(names), range=list(colours))
    return channel("backend:N", title=None, sort=None, legend=None, scale=scale)


def _part_fill(titles: Sequence[str]) -> dict[str, Any]:
    """Scale and legend of the fill of these parts, in this order."""
    known = {TITLES[part]: colours for part, colours in PART_COLOURS.items()}
    spare = itertools.cycle(SPARE_COLOURS)
    colours = [(known.get(title) or next(spare))[0] for title in titles]
    scale = alt.Scale(domain=list(titles), range=colours)
    return {"title": None, "scale": scale, "legend": alt.Legend(symbolType="square")}


def _rows_of(
    layers: Sequence[alt.Chart], names: Sequence[str], step: int, *, switch: str = "", room: int = 60
) -> Figure:
    """Layers over one row per name, `step` pixels high."""
    height = step * max(1, len(names))
    chart = alt.layer(*layers).properties(width=WIDTH, height=height)
    return finish(chart, switch=switch, height=height + room)


def _wrapped(chart: Any, names: Sequence[str], *, height: int, switch: str = "") -> Figure:
    """The finished chart, its legend in as many columns as a file of the usual width has room for."""
    finished = finish(chart, switch=switch, names=names, height=height)
    widest = max((len(name) for name in names), default=0) * 6 + 68
    legend = {**CONFIG["legend"], "columns": max(1, WIDTH // widest)}
    wrapped: Figure = finished.properties(config={**CONFIG, "legend": legend})
    return wrapped
