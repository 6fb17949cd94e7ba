"""Which layout is better, whether to distribute at all, and how cost grows with the data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import METRICS, NO_VALUE, RATIO
from bakeoff.races.sentences import answer
from bakeoff.report import vega
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.cluster import kit, sentences
from bakeoff.report.items.cluster.runs import Cluster, ClusterContestant, without
from bakeoff.report.items.words import interval_text, slug

SCALE = "data_scale"


def layouts(cluster: Cluster) -> Iterator[Item]:
    """Layout against layout."""
    claims = tuple(sentences.layout_claims(cluster))
    yield Item("layouts", "Layout against layout", claims=claims, table=layout_table(cluster))


def one_machine(cluster: Cluster) -> Iterator[Item]:
    """Cluster against one machine."""
    found = _speed_up_frame(cluster)
    names = ", ".join(contestant.at for contestant in cluster.distributed)
    why_not = (
        "No contestant ran on one machine as well, in the same environment and with the same settings: "
        "whether to distribute at all can't be said."
    )
    yield Item(
        "speed-up",
        "Should I distribute at all?",
        claims=tuple(sentences.machine_claims(cluster)),
        remarks=() if cluster.machine else (why_not,),
        draw=partial(speed_up, found) if len(found) else None,
        caption=f"How many times faster than one machine each contestant trains on {cluster.section.title}, "
        "paired by block, with 95 % intervals. Filled: the interval excludes 1.",
        alt=f"Speed-ups of {names}; the values are in the table of cluster against one machine.",
        labels=kit.labels(cluster),
        table=machine_table(cluster),
    )


def growth(cluster: Cluster) -> Iterator[Item]:
    """Training time against the size of the training set."""
    scales = scaling(cluster)
    yield Item(
        "data-scale",
        "More data",
        draw=partial(data_scale, scales) if len(scales) else None,
        caption=f"Training time on {cluster.section.title} against the size of the training set, means with "
        "95 % intervals; dotted: in proportion.",
        alt="Training times by size of the training set of "
        f"{', '.join(dict.fromkeys(scales['contestant']))}; the values are in the table.",
        labels=kit.labels(cluster),
        table=growth_table(cluster, scales),
    )


# ---- tables -------------------------------------------------------------------------------------


def layout_table(cluster: Cluster) -> Table:
    """Every two layouts of one contestant: which is faster, in training and in total."""
    rows = []
    for pair in cluster.layouts:
        train, total = kit.ratio_cells(pair.verdict.time.inverse), kit.ratio_cells(pair.total.time.inverse)
        cells = (pair.first.base, pair.first.placed, pair.second.placed)
        rows.append((*cells, answer(pair.verdict), *train, pair.total.kind, *total, *kit.error_cells(pair)))
    faster = numbers("Times faster", "95 % interval", "Pairs")
    columns = (
        *(*words("Contestant", "Layout", "Against", "Training is"), *faster),
        *(*words("Total is"), *faster, *numbers("Error difference (pp)", "95 % interval")),
    )
    title = f"Layout against layout on {cluster.section.title}"
    return Table(f"layouts-{slug(cluster.section.title)}", title, columns, tuple(rows))


def machine_table(cluster: Cluster) -> Table:
    """Each contestant on a cluster against the same on one machine: speed-up, efficiency, error paid."""
    rows = []
    for pair in cluster.machine:
        ratio = pair.verdict.time.ratio
        cores = (pair.second.num_cpus, pair.second.slots)
        efficiency = [
            NO_VALUE if ratio is None or not number else METRICS["share"].text(ratio / number)
            for number in cores
        ]
        busy = [METRICS["train_s"].text(busy_cores(cluster, member)) for member in (pair.first, pair.second)]
        rows.append(
            (
                pair.second.at,
                pair.first.name,
                *kit.ratio_cells(pair.verdict.time),
                *kit.ratio_cells(pair.total.time)[:2],
                *(str(number or NO_VALUE) for number in cores),
                *efficiency,
                *busy,
                *kit.error_cells(pair),
            )
        )
    columns = (
        *words("On the cluster", "Against"),
        *numbers("Speed-up, training", "95 % interval", "Pairs", "Speed-up, total", "95 % interval"),
        *numbers("Cores there", "Task slots", "Speed-up ÷ cores (%)", "Speed-up ÷ slots (%)"),
        *numbers("Cores busy, one machine", "Cores busy, cluster", "Error paid (pp)", "95 % interval"),
    )
    return Table(
        f"one-machine-{slug(cluster.section.title)}",
        f"Should I distribute at all? Cluster against one machine on {cluster.section.title}",
        columns,
        tuple(rows),
        remark="Speed-up: seconds on one machine ÷ seconds on the cluster, below 1 where the cluster is "
        "slower. Total: the whole process on one machine; on the cluster from the application's launch to "
        "its stop. Cores busy: CPU seconds of training ÷ its wall seconds: a process that keeps all cores "
        "busy by itself leaves a cluster of the same cores nothing to win.",
    )


def busy_cores(cluster: Cluster, member: ClusterContestant) -> float | None:
    """Cores that training kept busy, on average: its CPU seconds over its wall seconds."""
    runs = cluster.of(member)
    cpu = pl.col("user_s") + pl.col("system_s")
    if member.is_distributed:
        cpu = pl.coalesce("training_cpu_s", cpu)
    return stats.summarize(runs.select(cpu / pl.col("train_s")).to_series().drop_nulls().to_list()).mean


def growth_table(cluster: Cluster, table: pl.DataFrame) -> Table:
    """How training time grows with the training set; table: as `scaling` has it."""
    of_trial = {contestant.contestant.trial_id: contestant.contestant for contestant in cluster.contestants}
    rows = []
    for (line,), group in table.group_by(["line"], maintain_order=True):
        base = group.filter(pl.col("data_scale") == group["data_scale"].min())
        first, least = base["train_s"][0], base["data_scale"][0]
        times = group.select("train_s", "low", "high").iter_rows()
        texts = iter(METRICS["train_s"].texts([value for row in times for value in row]))
        for row in group.iter_rows(named=True):
            mean, low, high = (next(texts) for _ in range(3))
            rows.append(
                (
                    of_trial[row["trial_id"]].label(str(line)),
                    f"×{row['data_scale']}",
                    mean,
                    interval_text(low, high),
                    f"{row['data_scale'] / least:g}",
                    RATIO.text(row["train_s"] / first if first else None),
                )
            )
    columns = numbers(
        "Training set", "Training time (s)", "95 % interval", "Times the work", "Times the time"
    )
    return Table(
        f"data-scale-{slug(cluster.section.title)}",
        f"Training time against the size of the training set on {cluster.section.title}",
        (*words("Contestant"), *columns),
        tuple(rows),
        grouped=True,
    )


# ---- frames -------------------------------------------------------------------------------------


def scaling(cluster: Cluster) -> pl.DataFrame:
    """Mean training time by contestant, layout and size of the training set, with its interval.

    Columns: `line` (for people), `trial_id`, `contestant`, `backend`, `layout` (null on one machine),
    `distribution`, `data_scale`, `train_s`, `low`, `high`. Empty where no contestant has two sizes.
    """
    rows = []
    for contestant in cluster.contestants:
        summary = stats.summarize(cluster.values(contestant, "train_s"), bounds=stats.POSITIVE)
        scale = int(contestant.settings.get(SCALE) or 1)
        if summary.mean is None:
            continue
        name = without(contestant.base, f"data scale {scale}")
        rows.append(
            {
                "line": f"{name} · {contestant.layout or 'one machine'}",
                "trial_id": contestant.contestant.trial_id,
                "contestant": name,
                "backend": contestant.contestant.backend,
                "layout": contestant.layout or None,
                "distribution": contestant.settings.get("distribution", "single"),
                "data_scale": scale,
                "train_s": summary.mean,
                "low": summary.low,
                "high": summary.high,
            }
        )
    schema: dict[str, Any] = dict.fromkeys(
        ("line", "trial_id", "contestant", "backend", "layout", "distribution"), pl.String
    )
    schema |= {"data_scale": pl.Int64} | dict.fromkeys(("train_s", "low", "high"), pl.Float64)
    frame = pl.DataFrame(rows, schema=schema)
    return frame.filter(pl.col("data_scale").n_unique().over("line") > 1).sort(
        "line", "data_scale", maintain_order=True
    )


def _speed_up_frame(cluster: Cluster) -> pl.DataFrame:
    several = len({pair.second.name for pair in cluster.machine}) < len(cluster.machine)
    rows = [
        {
            "contestant": pair.second.base + (f" (against {pair.first.name})" if several else ""),
            "backend": pair.second.contestant.backend,
            "layout": pair.second.layout,
            "ratio": pair.verdict.time.ratio,
            "low": pair.verdict.time.low,
            "high": pair.verdict.time.high,
            "num_cpus": pair.second.num_cpus,
            "num_slots": pair.second.slots,
        }
        for pair in cluster.machine
        if pair.verdict.time.ratio is not None
    ]
    schema: dict[str, Any] = dict.fromkeys(("contestant", "backend", "layout"), pl.String)
    schema |= dict.fromkeys(("ratio", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema | {"num_cpus": pl.Int64, "num_slots": pl.Int64})


# ---- charts -------------------------------------------------------------------------------------


def speed_up(table: pl.DataFrame) -> vega.Chart:
    """How many times faster than one machine each contestant and layout is, with the 95 % interval.

    table: a row per contestant and layout: `ratio` with `low` and `high` (null: no interval), `num_cpus`, the
    cores that are really there, and `num_slots`, the tasks that run at once. One line is at 1: no faster than
    one machine. A tick in each row is the ideal: as many times faster as there are cores. Points are filled
    where the interval excludes 1. Rows without a ratio are left out.
    """
    good = kit.with_lines(kit.ranked(table.filter(pl.col("ratio").is_finite(), pl.col("ratio") > 0)))
    frame = good.select(
        "line",
        "backend",
        *("ratio", "low", "high"),
        "num_cpus",
        "num_slots",
        shown=pl.Series(RATIO.texts(good["ratio"]), dtype=pl.String),
        interval=kit.intervals(good, RATIO),
        efficiency=pl.Series(kit.SHARE.texts(good["ratio"] / good["num_cpus"]), dtype=pl.String) + " %",
        decided=((pl.col("low") > 1) | (pl.col("high") < 1)).fill_null(False),
    )
    # An interval of two pairs may span powers of ten: it is cut where it would hide all the others.
    seen = [1.0, *frame["ratio"], *frame["num_cpus"].drop_nulls()]
    low, high = (min([*seen, *frame["low"].drop_nulls()]), max([*seen, *frame["high"].drop_nulls()]))
    domain = [0.8 * min(max(low, min(seen) / 3), 0.7), 1.2 * min(high, 3 * max(seen))]
    scale = {"type": "log", "domain": domain, "nice": False, "clamp": True}

    title = "Times faster than one machine"
    x = vega.quantity("ratio", title, scale, grid=True, domain=False, tickCount=6, format="~r")

    def above(data: str, y: int, align: str) -> vega.Spec:
        text = {"x": {**x, "field": "at"}, "y": {"value": y}, "text": {"field": "words", "type": "nominal"}}
        return vega.layer("text", text, data=data, fontSize=11, color=vega.INK[0], align=align, aria=False)

    names = frame["line"].unique(maintain_order=True).to_list()
    row: vega.Spec = {"y": vega.rows_of("line", names, labelLimit=330)}
    more: dict[str, list[dict[str, Any]]] = {"same": [{"words": "one machine", "at": 1.0}]}
    colour = kit.backend_colour(frame["backend"])
    fields = {"contestant": "line", "times faster": "shown", "95 % interval": "interval"}
    fields |= {"of the ideal": "efficiency", "cores there": "num_cpus", "task slots": "num_slots"}
    fill = {"color": colour, "fill": colour, "fillOpacity": vega.either("datum.decided", 1, 0)}
    core = {**row, "x": {**x, "field": "num_cpus"}}
    layers = [
        vega.layer("rule", {"x": vega.at(x, 1)}, strokeDash=[3, 3], color=vega.INK[0], opacity=0.7),
        above("same", -8, "center"),
        vega.layer("tick", core, needs="num_cpus", thickness=2.5, size=24, color=vega.INK[0], opacity=0.8),
        vega.layer("rule", {**row, **vega.ends("x", x), "color": colour}, needs="low", strokeWidth=2.5),
        vega.layer(
            "point", {**row, "x": x, **fill, "tooltip": vega.tips(fields)}, size=80, opacity=1, strokeWidth=2
        ),
    ]
    if cores := sorted(set(frame["num_cpus"].drop_nulls())):
        ideal = f"ideal: {cores[0]} cores" if len(cores) == 1 else "ideal: as many as cores"
        more["ideal"] = [{"words": ideal, "at": float(cores[-1])}]
        layers.append(above("ideal", -22, "right"))
    return vega.chart(layers, frame, height=30 * max(1, len(names)), room=84, more=more)


def data_scale(table: pl.DataFrame) -> vega.Chart:
    """Training seconds against how many times the training set is repeated, both axes logarithmic.

    table: a row per contestant, layout (null, or `distribution` ``single``: one machine) and `data_scale`,
    with the mean `train_s` and its interval `low`, `high` (null: none). The colour tells the backend, symbol
    and dash its layouts apart. The guide rises in proportion to the data.
    """
    good = table.filter(pl.col("train_s").is_finite(), pl.col("train_s") > 0)
    on_cluster = pl.when(pl.col("distribution") != "single").then(pl.col("layout"))
    good = kit.with_lines(kit.ranked(good.with_columns(layout=on_cluster)))
    lines = good.select("line", "backend").unique(maintain_order=True)
    lines = lines.with_columns(place=pl.int_range(pl.len()).over("backend"))
    good = good.join(lines.select("line", "place"), on="line", maintain_order="left").sort(
        "place", "data_scale", maintain_order=True
    )
    frame = good.select(
        "line",
        "data_scale",
        *("train_s", "low", "high"),
        dash=pl.col("place").cast(pl.String),
        shown=pl.Series(kit.SECONDS.texts(good["train_s"]), dtype=pl.String),
        interval=kit.intervals(good, kit.SECONDS),
    ).with_columns(low=pl.when(pl.col("low") > 0).then("low"))  # zero has no logarithm
    names, scales = lines["line"].to_list(), sorted(set(frame["data_scale"]))
    palette = kit.backend_palette(lines["backend"])
    by_backend = dict(zip(palette.names, palette.colours, strict=True))
    colours = {"domain": names, "range": [by_backend[backend] for backend in lines["backend"]]}
    symbols = {"domain": names, "range": [vega.SHAPES[place % len(vega.SHAPES)] for place in lines["place"]]}
    places = sorted(set(lines["place"]))
    patterns = [list(vega.DASHES[place % len(vega.DASHES)]) for place in places]
    dashes = {"domain": [str(place) for place in places], "range": patterns}
    ends = [scales[0], scales[-1]] if len(scales) > 1 else [0.5, 2]
    x_scale = {"type": "log", "base": 2, "domain": ends, "nice": False, "padding": 14}
    x = vega.quantity(
        "data_scale", "Training set, times its size", x_scale, values=scales, format="d", grid=False
    )

    y_scale = {"type": "log", "nice": False}
    y = vega.quantity("train_s", "Training time (s)", y_scale, tickCount=5, format=",~r")
    base: vega.Spec = {
        "x": x,
        "color": vega.nominal("line", sort=None, scale=colours),
        "opacity": vega.picked(),
    }
    fields = {"contestant": "line", "times the data": "data_scale", "seconds": "shown"}
    dash = vega.nominal("dash", sort=None, legend=None, scale=dashes)
    symbol = vega.nominal("line", sort=None, scale=symbols)
    tooltip = vega.tips({**fields, "95 % interval": "interval"})
    layers = [
        vega.layer("line", {**base, "y": y, "strokeDash": dash}, strokeWidth=1.8),
        vega.layer("rule", {**base, **vega.ends("y", y)}, needs="low", strokeWidth=1.2),
        vega.layer("point", {**base, "y": y, "shape": symbol, "tooltip": tooltip}, size=70, filled=True),
    ]
    more: dict[str, list[dict[str, Any]]] = {}
    first = frame.filter(pl.col("data_scale") == scales[0])["train_s"].min() if scales else None
    if len(scales) > 1 and first is not None:
        below, middle = 0.7 * float(first), (ends[0] * ends[1]) ** 0.5  # type: ignore[arg-type]
        more["guide"] = [
            {"data_scale": at, "train_s": below * at / ends[0], "words": words_at}
            for at, words_at in ((ends[0], None), (middle, "in proportion to the data"), (ends[1], None))
        ]
        guide = {"x": x, "y": y}
        text = {**guide, "text": {"field": "words", "type": "nominal"}}
        look: vega.Spec = {
            "align": "left",
            "dx": 6,
            "dy": 12,
            "fontSize": 11,
            "color": vega.INK[0],
            "aria": False,
        }
        dotted: vega.Spec = {"strokeWidth": 1, "strokeDash": [1, 3], "color": vega.INK[0], "aria": False}
        layers += [
            vega.layer("line", guide, data="guide", **dotted),
            vega.layer("text", text, data="guide", when="isValid(datum.words)", **look),
        ]
    room = 60 + 9 * len(names)
    return vega.chart(
        layers, frame, height=vega.HEIGHT, room=room, switch="y", names=names, pick_by="line", more=more
    )
