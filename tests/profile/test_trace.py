"""The Chrome trace of what profilers saw."""

from __future__ import annotations

from bakeoff.profile.profiled import Answer, Profiled
from bakeoff.profile.trace import trace
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import ProfiledSpan, ProfiledSteps, RunEnded


def test_each_span_has_its_place_in_microseconds_from_the_first() -> None:
    spans = [
        ProfiledSpan("mm", "dense", "backward", 10.002, 0.001, 0.0005, "worker"),
        ProfiledSpan("conv", "conv2d", "forward", 10.0, 0.002, 0.002, "main"),
    ]
    steps = ProfiledSteps("tracer", 1, 0.003, [list(span) for span in spans])
    settings = TrialSettings("torch", "torch")
    seen = Profiled("one", settings, {"layers": Answer((steps,), 1.0, RunEnded("ok"))})
    events = trace([Profiled("failed", settings, {}, "no network"), seen])["traceEvents"]
    assert [event["args"]["name"] for event in events if event["ph"] == "M"] == ["one", "worker", "main"]
    mm, conv = (event for event in events if event["ph"] == "X")
    assert (mm["name"], mm["cat"], mm["args"]["layer"]) == ("mm", "backward", "dense")
    assert (round(mm["ts"]), round(mm["dur"]), round(conv["ts"])) == (2000, 1000, 0)
    assert mm["pid"] == conv["pid"] == 2 and mm["tid"] != conv["tid"]
