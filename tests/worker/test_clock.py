"""Clocks: what they count, what they leave out."""

import subprocess
import sys
import time

import pytest

from bakeoff_worker import clock
from bakeoff_worker.clock import Span, Stopwatch


def burn(cpu_s: float) -> None:
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        sum(range(1000))


def test_sleeping_takes_wall_time_and_no_cpu_time():
    watch = Stopwatch()
    time.sleep(0.2)
    span = watch.stop()
    assert span.wall_s >= 0.2
    assert span.user_s + span.system_s < 0.1


def test_working_takes_cpu_time():
    watch = Stopwatch()
    burn(0.2)
    span = watch.stop()
    assert span.user_s + span.system_s >= 0.19
    assert span.wall_s >= 0.19


class Ticking:
    """In place of the module `time`: each reading is 0.01 s after the last, and nobody can sleep."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 0.01
        return self.now


@pytest.mark.parametrize("fraction", [0.01, 0.1, 1.0])
def test_a_stretched_span_is_longer_by_the_fraction_and_busy(monkeypatch, fraction):
    monkeypatch.setattr(clock, "time", ticking := Ticking())
    watch = Stopwatch()
    ticking.now += 10.0  # the work that is timed
    watch.stretch(fraction)
    assert watch.stop().wall_s == pytest.approx(10.01 * (1 + fraction), abs=0.03)


def test_without_a_fraction_no_clock_is_read_in_between(monkeypatch):
    monkeypatch.setattr(clock, "time", Ticking())
    watch = Stopwatch()
    watch.stretch(0.0)
    assert watch.stop().wall_s == pytest.approx(0.01)


def test_children_count_once_they_have_ended():
    program = "import time\nwhile time.process_time() < 0.3: sum(range(1000))"
    watch = Stopwatch()
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
    span = watch.stop()
    assert span.user_s + span.system_s >= 0.29


def test_time_since_the_process_started_grows_with_the_wall_clock():
    earlier, started = clock.since_process_start_s(), time.perf_counter()
    time.sleep(0.1)
    later, passed = clock.since_process_start_s(), time.perf_counter() - started
    assert later - earlier == pytest.approx(passed, abs=0.03)


def test_spans_add_up():
    assert clock.total([Span(1.0, 2.0, 3.0), Span(0.5, 0.25, 0.125)]) == Span(1.5, 2.25, 3.125)


def test_an_unknown_part_makes_the_sum_unknown():
    assert clock.total([Span(1.0, None, 3.0), Span(0.5, 0.25, 0.0)]) == Span(1.5, None, 3.0)
