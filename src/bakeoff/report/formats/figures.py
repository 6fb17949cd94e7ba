"""Charts as files: SVG, PNG, a page of their own, Vega-Lite; with marks behind the names that have some."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from bakeoff.errors import ReportError
from bakeoff.races.marks import Label
from bakeoff.report import vega
from bakeoff.report.formats.marks import marked

FORMATS = ("svg", "png", "html", "json")

# What differs between a light page, a dark page and a file of its own.
THEMES: Mapping[str, Mapping[str, Any]] = {
    name: {
        "background": background,
        "axis": {
            "labelColor": ink,
            "titleColor": ink,
            "gridColor": grid,
            "tickColor": line,
            "domainColor": line,
        },
        "legend": {"labelColor": ink},
        "header": {"labelColor": ink},
    }
    for name, background, ink, grid, line in (
        ("light", "transparent", "#3d444d", "#e3e6ea", "#9aa1a9"),
        ("dark", "transparent", "#c9d1d9", "#30363d", "#6b737c"),
        ("file", "white", "#3d444d", "#e3e6ea", "#9aa1a9"),
    )
}
# Numbers on axes as in the tables.
LOCALE: dict[str, Any] = {"decimal": ".", "thousands": "\u202f", "grouping": [3], "currency": ["", ""]}


def with_marks(chart: vega.Chart, labels: Iterable[str]) -> Mapping[str, Any]:
    """The chart's specification, names with the symbols of their marks. labels: names that may be in it."""
    shown = {str(label): marked(label) for label in labels if isinstance(label, Label) and label.marks}
    if not shown:
        return chart.spec
    found: Mapping[str, Any] = _replaced(chart.spec, shown, is_data=False)
    return found


def _replaced(node: Any, shown: Mapping[str, str], *, is_data: bool) -> Any:
    """Of a specification, only rows, domains and orders hold names."""
    if isinstance(node, str):
        return shown.get(node, node) if is_data else node
    if isinstance(node, (list, tuple)):
        return [_replaced(one, shown, is_data=is_data) for one in node]
    if isinstance(node, Mapping):
        holding = ("datasets", "domain", "sort")
        return {key: _replaced(one, shown, is_data=is_data or key in holding) for key, one in node.items()}
    return node


def encode(chart: vega.Chart, suffix: str, labels: Iterable[str] = ()) -> bytes:
    """The chart as a file of this kind.

    Raises:
        ReportError: there is no such kind.
    """
    if suffix not in FORMATS:
        raise ReportError(
            f"figures: expected {', '.join(FORMATS)}; got {suffix or 'none'}", "Name one of them."
        )
    spec = dict(copy.deepcopy(with_marks(chart, labels)))
    if suffix == "json":
        return json.dumps(spec, allow_nan=False).encode()
    config = dict(spec["config"])
    for part, values in THEMES["file"].items():
        config[part] = values if isinstance(values, str) else {**config.get(part, {}), **values}
    spec["config"] = config
    import vl_convert

    if suffix == "png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=2, format_locale=LOCALE))
    if suffix == "html":
        return str(vl_convert.vegalite_to_html(spec, bundle=True, format_locale=LOCALE)).encode()
    return str(vl_convert.vegalite_to_svg(spec, format_locale=LOCALE)).encode()
