"""``make bench-spark-verification``: the share of a distributed study that its verification takes.

The study runs twice, each time with empty compile directories: with verification beforehand and without. What
is compiled to verify a contestant of a cluster is found by its runs, so that the time that verification adds
is less than the time that it takes. Both are printed, as shares of the study's time with verification.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

from bakeoff import environments, plan, session, study
from bakeoff.events import Handler, messages
from bakeoff.prepare import prepare
from bakeoff_worker.job import RunSpec
from benchmarks.goals import Figure, conclude

MAX_SHARE = 0.1


class FirstRun(Handler):
    """When the first run started."""

    def __init__(self) -> None:
        self.at = 0.0

    def run_began(self, spec: RunSpec, index: int, total: int) -> None:
        """Of several, the first."""
        self.at = self.at or time.monotonic()


def main() -> int:
    """Run twice and judge; 0 if verification adds at most a tenth."""
    arguments = _arguments()
    loaded = study.load(arguments.study, tuple(arguments.set))
    prepare(
        loaded,
        (*plan.expand(loaded), *chain.from_iterable(plan.expand_follow_up(loaded))),
        listener=messages(print),
    )
    (without_s, _), (with_s, verification_s) = (_seconds(loaded, verify) for verify in (False, True))
    print(
        f"{arguments.study}: {with_s:.0f} s with verification, {verification_s:.0f} s of them before the "
        f"first run; {without_s:.0f} s without"
    )
    added, taken = (with_s - without_s) / with_s, verification_s / with_s
    return conclude(
        "spark-verification",
        [
            Figure(f"added {100 * added:.1f} % of the study", f"≤ {100 * MAX_SHARE:g} %", added <= MAX_SHARE),
            Figure(f"taken {100 * taken:.1f} %"),
        ],
    )


def _seconds(loaded: study.Study, verify: bool) -> tuple[float, float]:
    """Of the whole study, and until its first run."""
    ensure = environments.ensure
    with tempfile.TemporaryDirectory(prefix="bench-spark-verification-") as name:
        folder = Path(name)

        def cold(environment: str, **more: Any) -> environments.Environment:
            scratch = folder / environment
            scratch.mkdir(exist_ok=True)
            return replace(ensure(environment, **more), scratch=scratch)

        first = FirstRun()
        began = time.monotonic()
        with mock.patch.object(environments, "ensure", cold):
            tally = session.run(loaded, folder / "store.sqlite", listener=first, verify=verify)
        ended = time.monotonic()
    if not tally.all_ok:
        raise SystemExit(f"a run did not end well: {tally.counts}")
    return ended - began, first.at - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-spark-verification", description=__doc__)
    parser.add_argument("--study", default="quick-distributed", help="default: quick-distributed")
    parser.add_argument("--set", action="append", default=[], help="an override, as for bakeoff run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
