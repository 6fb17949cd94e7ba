"""Charts for notebooks: polars frames in, charts out, which show themselves and can be saved.

Every function takes a frame as `bakeoff.store.Reader` gives it, of one data set; runs that did not end
well are left out. Contestants are told apart by the column `contestant`, or else by `label`. Units are those
of `bakeoff.metrics`.
"""

from bakeoff.report.items.break_even import Curve
from bakeoff.report.items.break_even import totals as break_even
from bakeoff.report.items.cluster.comparisons import data_scale, speed_up
from bakeoff.report.items.cluster.tasks import task_times
from bakeoff.report.items.cluster.time_budget import budget_chart as time_budget
from bakeoff.report.items.cluster.timelines import timeline
from bakeoff.report.items.cluster.totals import layouts
from bakeoff.report.items.errors import (
    epoch_times,
    error_against_time,
    error_mean_and_spread,
    error_per_epoch,
    remaining_improvement,
)
from bakeoff.report.items.sweeps import sweep
from bakeoff.report.items.times import execution_times, first_step
from bakeoff.report.items.trade_off import time_and_error
from bakeoff.report.items.verdicts import time_ratios
from bakeoff.report.vega import Chart, Palette

__all__ = [
    "Chart",
    "Curve",
    "Palette",
    "break_even",
    "data_scale",
    "epoch_times",
    "error_against_time",
    "error_mean_and_spread",
    "error_per_epoch",
    "execution_times",
    "first_step",
    "layouts",
    "remaining_improvement",
    "speed_up",
    "sweep",
    "task_times",
    "time_and_error",
    "time_budget",
    "time_ratios",
    "timeline",
]
