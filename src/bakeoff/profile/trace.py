"""Operations that frameworks' profilers saw, as a Chrome trace: Perfetto and ``chrome://tracing`` open it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bakeoff.profile.layers import spans
from bakeoff.profile.profiled import Profiled
from bakeoff_worker.records import ProfiledSteps


def trace(profiles: Iterable[Profiled]) -> dict[str, Any]:
    """JSON-plain: a process for each contestant whose profiler was read, a row for each thread; microseconds.

    Source: "Trace Event Format", complete events (``ph`` X), metadata events (``ph`` M).
    """
    return {
        "displayTimeUnit": "ms",
        "traceEvents": [
            event for pid, profiled in enumerate(profiles, start=1) for event in _events(pid, profiled)
        ],
    }


def _events(pid: int, profiled: Profiled) -> Iterator[dict[str, Any]]:
    steps: list[ProfiledSteps] = (
        profiled.answers["layers"].of(ProfiledSteps) if profiled.has("layers") else []
    )
    found = [span for some in steps for span in spans(some)]
    if not found:
        return
    yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": profiled.label}}
    threads = {name: tid for tid, name in enumerate(dict.fromkeys(span.thread for span in found), start=1)}
    for name, tid in threads.items():
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
    began_s = min(span.start_s for span in found)
    for span in found:
        yield {
            "ph": "X",
            "name": span.name,
            "cat": span.direction or "other",
            "pid": pid,
            "tid": threads[span.thread],
            "ts": 1e6 * (span.start_s - began_s),
            "dur": 1e6 * span.wall_s,
            "args": {"layer": span.layer},
        }
