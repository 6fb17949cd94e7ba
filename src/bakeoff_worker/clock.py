"""Wall and CPU clocks of this process and its ended children, in seconds."""

import os
import time
from dataclasses import dataclass
from typing import Optional, Tuple


def cpu_s() -> Tuple[Optional[float], Optional[float]]:
    """User and system CPU seconds of this process and of its children that have ended; None where unknown.

    getrusage rather than os.times: microseconds instead of clock ticks of 10 ms.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None, None
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + children.ru_utime, own.ru_stime + children.ru_stime


def since_process_start_s(pid: Optional[int] = None) -> Optional[float]:
    """Wall seconds since the kernel created a process, this one by default, to 10 ms; None where unknown."""
    try:
        with open("/proc/{}/stat".format(pid or "self")) as stat, open("/proc/uptime") as uptime:
            started_ticks = int(stat.read().rsplit(")", 1)[1].split()[19])
            return float(uptime.read().split()[0]) - started_ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


@dataclass(frozen=True)
class Span:
    """What a stretch of work took: wall, user and system seconds."""

    wall_s: float
    user_s: Optional[float]
    system_s: Optional[float]


class Stopwatch:
    """Reads the clocks when made and again at `stop`; in between, nothing of its own runs but `stretch`."""

    def __init__(self) -> None:
        self._cpu = cpu_s()
        self._wall = time.perf_counter()

    def stretch(self, fraction: float) -> None:
        """Keep a core busy, in vain, until the time so far has grown by `fraction`; not at all if it is 0."""
        if fraction:
            until = self._wall + (time.perf_counter() - self._wall) * (1.0 + fraction)
            while time.perf_counter() < until:
                pass

    def stop(self) -> Span:
        """The span since the stopwatch was made; the wall clock is read first."""
        wall = time.perf_counter() - self._wall
        user, system = cpu_s()
        return Span(wall, _difference(user, self._cpu[0]), _difference(system, self._cpu[1]))


def total(spans: "list[Span]") -> Span:
    """The sum of several spans."""
    return Span(
        sum(span.wall_s for span in spans),
        sum_known([span.user_s for span in spans]),
        sum_known([span.system_s for span in spans]),
    )


def _difference(later: Optional[float], earlier: Optional[float]) -> Optional[float]:
    return None if later is None or earlier is None else later - earlier


def sum_known(values: "list[Optional[float]]") -> Optional[float]:
    """The sum; None if a value is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
