"""Charts as data: Vega-Lite, written out, and the looks that all charts share.

Each backend has one colour, symbol and dash pattern wherever it appears. A click in a legend picks
contestants out. What a page needs besides (which axis may become logarithmic, how wide the labels are)
travels in the chart's ``usermeta``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bakeoff import registry

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

WIDTH, HEIGHT = 640, 260
# Runs of one contestant up to which each is drawn; above, their range.
MAX_DOTS = 40


@dataclass(frozen=True)
class Chart:
    """A chart. spec: Vega-Lite, whole, with the rows that it draws."""

    spec: Mapping[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows that it draws from."""
        return [row for rows in self.spec["datasets"].values() for row in rows]

    @property
    def page(self) -> Mapping[str, Any]:
        """What a page needs to know to fit it in."""
        page: Mapping[str, Any] = self.spec["usermeta"]["bakeoff"]
        return page

    def save(self, path: Path | str) -> Path:
        """Write it as SVG, PNG, HTML (which needs no network) or JSON, as the file's name ends; its path.

        Raises:
            ReportError: the name ends otherwise.
        """
        from bakeoff.report.formats import figures

        target = Path(path)
        target.write_bytes(figures.encode(self, target.suffix.lower().removeprefix(".")))
        return target

    def _repr_svg_(self) -> str:
        from bakeoff.report.formats import figures

        return figures.encode(self, "svg").decode()


# ---- looks --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """How a contestant is drawn. colour, dark: on a light and on a dark page. dash: lengths in pixels."""

    colour: str
    dark: str
    symbol: str
    dash: tuple[int, ...]


SHAPES = (
    *("circle", "square", "triangle-up", "diamond", "cross", "triangle-down"),
    *("triangle-right", "wedge", "arrow"),
)
DASHES = (
    *((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (5, 2, 1, 2, 1, 2), (12, 4)),
    *((1, 4), (6, 6), (14, 2, 2, 2)),
)
# On a light page, on a dark page. Like the backends' own, each has a contrast of at least 3:1 with its page
# and stays apart from the others for colour-blind eyes (tests/report/test_figures.py measures both).
SPARE_COLOURS: tuple[tuple[str, str], ...] = (
    ("#334155", "#cbd5e1"),
    ("#0891b2", "#67e8f9"),
    ("#be185d", "#f9a8d4"),
    ("#4d7c0f", "#bef264"),
    ("#7c3aed", "#c4b5fd"),
    ("#92400e", "#fcd9a8"),
)
INK, FAINT = ("#1f2328", "#e6e8eb"), ("#9aa1a9", "#6b737c")


def looks() -> dict[str, Look]:
    """Of each backend that there is, by name."""
    return {
        name: Look(*record.colours, record.symbol, DASHES[place % len(DASHES)])
        for place, (name, (record, _)) in enumerate(registry.backends().items())
    }


def dark() -> dict[str, str]:
    """Colours in charts as drawn on a light page, and what a dark page has in their place."""
    return {**{look.colour: look.dark for look in looks().values()}, **dict([*SPARE_COLOURS, INK, FAINT])}


_FONT = "Inter, 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
# Shared by all charts; colours of text and lines come from the page.
CONFIG: Mapping[str, Any] = {
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelPadding": 5,
        "tickSize": 4,
        "gridWidth": 0.5,
        "labelLimit": 220,
    },
    "axisY": {"domain": False, "ticks": False},
    "axisX": {"grid": False},
    "legend": {
        "orient": "top",
        "title": None,
        "labelFontSize": 12,
        "labelLimit": 260,
        "symbolSize": 70,
        "symbolStrokeWidth": 2,
        "symbolOpacity": 1,
        "columnPadding": 16,
        "offset": 8,
    },
    "header": {"labelFontSize": 12, "labelFontWeight": "bold", "labelAnchor": "start", "title": None},
}


@dataclass(frozen=True)
class Palette:
    """How each contestant is drawn; names in the order of legends."""

    names: tuple[str, ...]
    looks: tuple[Look, ...]

    @classmethod
    def of(cls, contestants: Iterable[tuple[str, str]]) -> Palette:
        """For pairs of name and backend. A backend's first contestant has the backend's look."""
        backends = {str(name): backend for name, backend in contestants}
        order = {name: number for number, name in enumerate(backends)}
        names = sorted(backends, key=lambda name: (registry.backend_rank(backends[name]), order[name]))
        known = looks()
        first = {backends[name]: name for name in reversed(names)}
        found = {name: known[backend] for backend, name in first.items() if backend in known}
        used = {look.symbol for look in found.values()}
        free = [index for index, symbol in enumerate(SHAPES) if symbol not in used] or range(len(SHAPES))
        spare = zip(itertools.cycle(SPARE_COLOURS), itertools.cycle(free), strict=False)
        for name in names:
            if name not in found:
                colours, index = next(spare)
                found[name] = Look(*colours, SHAPES[index], DASHES[index])
        return cls(tuple(names), tuple(found[name] for name in names))

    @classmethod
    def of_frame(cls, frame: pl.DataFrame) -> Palette:
        """For the contestants of a frame with `contestant` and `backend`."""
        return cls.of(frame.select("contestant", "backend").unique(maintain_order=True).iter_rows())

    @property
    def colours(self) -> tuple[str, ...]:
        """On a light page."""
        return tuple(look.colour for look in self.looks)

    def colour(self, *, legend: bool = True, field: str = "contestant") -> Spec:
        """The colour channel; also for a fill that says something of its own."""
        channel = nominal(field, scale={"domain": list(self.names), "range": list(self.colours)}, sort=None)
        return channel if legend else {**channel, "legend": None}

    def shape(self, field: str = "contestant") -> Spec:
        """The symbol channel, for points."""
        symbols = [look.symbol for look in self.looks]
        return nominal(field, scale={"domain": list(self.names), "range": symbols}, sort=None)

    def dash(self) -> Spec:
        """The dash channel, for lines.

        Of a column and a domain of its own (`line`): Vega-Lite merges legends with equal domains, and symbols
        drawn with dashed outlines are hard to tell apart.
        """
        lines = [str(index) for index in range(len(self.names))]
        scale = {"domain": lines, "range": [list(look.dash) for look in self.looks]}
        return nominal("line", scale=scale, sort=None, legend=None)

    def line(self, name: object) -> str:
        """The value in the column that `dash` reads."""
        return str(self.names.index(str(name)))


# ---- parts of a specification -------------------------------------------------------------------


def nominal(field: str, **options: Any) -> Spec:
    """A channel of names."""
    return {"field": field, "type": "nominal", "title": None, **options}


def quantity(field: str, title: str | None, scale: Mapping[str, Any] | None = None, **axis: Any) -> Spec:
    """A channel of numbers. scale: from zero on and linear, where None."""
    scale = {"type": "linear", "zero": True} if scale is None else scale
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def rows_of(field: str, names: Iterable[str], **axis: Any) -> Spec:
    """A row for each name, in this order."""
    return nominal(field, sort=list(map(str, names)), axis={"grid": False, **axis})


def tips(fields: Mapping[str, str]) -> list[Spec]:
    """What is shown under the pointer: column by what it is called."""
    return [{"field": field, "type": "nominal", "title": title} for title, field in fields.items()]


def picked(shown: float = 1, faded: float = 0.1, param: str = "pick") -> Spec:
    """Opacity of what the legend has picked out, and of the rest."""
    return {"condition": {"param": param, "value": shown}, "value": faded}


def either(test: str, yes: Any, no: Any) -> Spec:
    """A value by a test on the row."""
    return {"condition": {"test": test, "value": yes}, "value": no}


def ends(channel: str, spec: Spec, low: str = "low", high: str = "high") -> Spec:
    """The channel's encoding from one column to another, on the same axis."""
    return {channel: {**spec, "field": low}, f"{channel}2": {"field": high}}


def at(spec: Spec, value: float) -> Spec:
    """A constant on the same axis."""
    return {**{key: one for key, one in spec.items() if key != "field"}, "datum": value}


def layer(
    mark: str,
    encoding: Mapping[str, Any],
    *,
    kind: str = "",
    needs: str = "",
    when: str = "",
    data: str = "",
    **look: Any,
) -> Spec:
    """Marks of one kind, for some of the rows; `chart` leaves it out where there are none.

    kind: only for rows whose column `kind` has this value. needs: only where this column is not null. when:
    only for rows of which this expression holds. data: of another set of rows.
    """
    tests = [f"datum.kind == '{kind}'" if kind else "", f"isValid(datum['{needs}'])" if needs else "", when]
    found: Spec = {"mark": {"type": mark, **look}, "encoding": dict(encoding), "kind": kind, "needs": needs}
    if data:
        found["data"] = {"name": data}
    if any(tests):
        found["transform"] = [{"filter": " && ".join(filter(None, tests))}]
    return found


def _has_rows(spec: Spec, rows: Rows) -> bool:
    """Whether there is something to draw; Vega complains of a field without values."""
    kind, needs = spec.pop("kind", ""), spec.pop("needs", "")
    if "data" in spec or not (kind or needs):
        return True
    return any(
        (not kind or row["kind"] == kind) and (not needs or row.get(needs) is not None) for row in rows
    )


def pick(field: str = "contestant") -> Spec:
    """The selection that a click in the legend makes."""
    select = {"type": "point", "fields": [field], "toggle": "true"}
    return {"name": "pick", "select": select, "bind": "legend"}


def with_params(spec: Spec, *params: Spec) -> Spec:
    """A layer that holds these selections."""
    return {**spec, "params": [*spec.get("params", ()), *params]}


@dataclass(frozen=True)
class Facets:
    """Panels beside each other, one for each value of a column.

    order: values. free: axes that are each panel's own. columns: panels side by side. labels: width of what
    stands beside them, px; each: beside each panel.
    """

    by: str
    order: Sequence[str]
    free: Sequence[str] = ()
    columns: int = 2
    labels: int = 36
    each: bool = False


def chart(
    layers: Sequence[Spec],
    rows: Rows | pl.DataFrame,
    *,
    height: float,
    room: float = 90,
    width: float = WIDTH,
    names: Sequence[str] = (),
    facets: Facets | None = None,
    switch: str = "",
    floor: float | None = None,
    pick_by: str = "",
    more: Mapping[str, Rows] | None = None,
) -> Chart:
    """Layers over rows as a whole chart.

    height: of what is drawn, or of a panel; room: for axes and legend, px. names: what the legend lists.
    switch: channel whose scale may be linear or logarithmic; floor: where a logarithmic one begins. pick_by:
    column that a click in the legend picks by. more: other rows, by name.
    """
    data = {name: _clean(found) for name, found in {"rows": rows, **(more or {})}.items()}
    layers = [one for one in map(dict, layers) if _has_rows(one, data["rows"])]
    if pick_by:
        layers = [with_params(layers[0], pick(pick_by)), *layers[1:]]
    page: Spec = {"switch": switch, "floor": floor, "legend": label_width(names) if names else 0}
    spec: Spec = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "data": {"name": "rows"}}
    view: Spec = {"layer": list(layers), "width": width, "height": height}
    if facets is None:
        spec |= view | {"autosize": {"type": "fit-x", "contains": "padding"}}
        page |= {"columns": 0, "height": math.ceil(height + room)}
    else:
        spec |= {
            "facet": nominal(facets.by, sort=list(facets.order)),
            "columns": facets.columns,
            "spec": view,
            "resolve": {"scale": dict.fromkeys(facets.free, "independent")},
        }
        num_rows = math.ceil(max(1, len(facets.order)) / facets.columns)
        page |= {"columns": facets.columns, "labels": facets.labels, "each": facets.each}
        page |= {"height": math.ceil((height + 55) * num_rows + (35 if names else 0))}
    legend = {**CONFIG["legend"], "columns": max(1, WIDTH // (label_width(names) + 56))} if names else {}
    config = {**CONFIG, "legend": legend} if legend else CONFIG
    return Chart(spec | {"datasets": data, "config": config, "usermeta": {"bakeoff": page}})


def label_width(names: Iterable[str]) -> int:
    """Pixels that the longest name takes on an axis."""
    return min(220, max((len(name) for name in names), default=0) * 6) + 12


def panel_width(columns: int) -> int:
    """Pixels of one of several panels side by side."""
    return WIDTH // columns - (60 if columns > 1 else 50)


def named(frame: pl.DataFrame) -> pl.DataFrame:
    """Good runs, with a column `contestant`."""
    if "contestant" not in frame.columns:
        frame = frame.with_columns(contestant=pl.col("label"))
    return frame.filter(pl.col("status") == "ok") if "status" in frame.columns else frame


def _clean(rows: Rows | pl.DataFrame) -> list[dict[str, Any]]:
    """Six significant digits, more than a figure shows; JSON has no word for what is no number."""
    found = rows.to_dicts() if isinstance(rows, pl.DataFrame) else rows
    return [{key: _digits(one) for key, one in row.items()} for row in found]


def _digits(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
