"""``make bench-overhead``: training seconds through Bakeoff ÷ those of a bare script, backend by backend.

A pair is one run through Bakeoff, from its study file to its store, and one process of a bare script
that calls the same framework with the same settings, in the same environment with the same variables.
Both are warmed up, then train the same number of epochs in turn, as contestants that alternate do: whoever
does not train is stopped. So each epoch has a neighbour in time, and what the machine does meanwhile meets
both. The turns go A BB AA BB A or B AA BB AA B, by lot.
Pairs are interleaved over backends in blocks of random order. Both keep what they free, and TensorFlow
does without the tuner of its input pipeline: else two processes that do the same differ by 7 % and more, and
an epoch takes one of two times by chance, whoever starts them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakeoff import datasets, environments, session, stats, study
from bakeoff.environments import Environment
from bakeoff.events import Handler, messages
from bakeoff.launchers import local
from bakeoff.launchers.base import Launch, TurnAwaited
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import EpochRecord, PhaseEnded, Record, RunEnded
from benchmarks.goals import Figure, conclude

MAX_RATIO, MAX_HIGH = 1.01, 1.02
MAX_STOPPED_SHARE = 0.001  # of a core
MIN_PAIRS = 5
_BARE = Path(__file__).parent / "bare"
_BATCH, _EVALUATION_IMAGES = 200, 1000


@dataclass(frozen=True)
class Contestant:
    """A backend, its environment, and how many images make an epoch of some seconds."""

    backend: str
    environment: str
    train_images: int

    @property
    def name(self) -> str:
        """``theano``, or ``theano (vintage)`` away from its own environment."""
        return self.backend if self.backend == self.environment else f"{self.backend} ({self.environment})"


TODAY = (
    Contestant("tensorflow", "tensorflow", 12_000),
    Contestant("jax", "jax", 6_000),
    Contestant("torch", "torch", 9_000),
    Contestant("theano", "theano", 4_000),
)
VINTAGE = (Contestant("theano", "vintage", 4_000), Contestant("tensorflow1", "vintage", 12_000))


@dataclass(frozen=True)
class Pair:
    """Totals over the epochs of one run and of its bare neighbour; single_s: the bare script's one fit.

    stopped_s, stopped_cpu_s: of the run's process, while the bare script trained.
    """

    ours_s: float
    bare_s: float
    ours_cpu_s: float
    bare_cpu_s: float
    single_s: float
    stopped_s: float
    stopped_cpu_s: float

    @property
    def ratio(self) -> float:
        """Of training seconds."""
        return self.ours_s / self.bare_s


class Bare:
    """The bare script at work; trains an epoch when told to. A context manager."""

    def __init__(self, contestant: Contestant, environment: Environment, settings: Path) -> None:
        script = "keras2.py" if contestant.backend in ("theano", "tensorflow1") else "keras3.py"
        self._log = settings.with_suffix(".log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [str(environment.python), str(_BARE / script), str(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_variables(contestant, environment),
                text=True,
            )
        self.epochs: list[Mapping[str, float]] = []

    def __enter__(self) -> Bare:
        self.answer()  # it is ready
        self._process.send_signal(signal.SIGSTOP)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def train_until(self, num_epochs: int) -> None:
        """Train until so many epochs are done in all."""
        while len(self.epochs) < num_epochs:
            self.epochs.append(self.ask("epoch"))

    def ask(self, what: str) -> Mapping[str, float]:
        """``epoch`` or ``single``; the seconds that it took. Before and after, it is stopped."""
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        answer = self.answer()
        self._process.send_signal(signal.SIGSTOP)
        return answer

    def answer(self) -> Mapping[str, float]:
        """The next line that the script says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the bare script died:\n{self._log.read_text()[-2000:]}")
        answer: Mapping[str, float] = json.loads(line)
        return answer


class Turns(Handler):
    """Lets the bare script train while Bakeoff's run awaits its turn."""

    def __init__(self, bare: Bare, num_epochs: int, *, bare_first: bool) -> None:
        self._bare, self._num_epochs, self._bare_first = bare, num_epochs, bare_first
        self.epochs: list[EpochRecord] = []
        self.stopped = PhaseEnded("stopped", 0.0, 0.0, 0.0)

    def launch(self, request: Launch) -> Generator[Record | TurnAwaited, None, None]:
        """As the launcher; where the run awaits its turn, or is over, the bare script has its own."""
        for record in local.launch(request):
            if isinstance(record, TurnAwaited | RunEnded):
                self._bare.train_until(due(len(self.epochs), self._num_epochs, bare_first=self._bare_first))
            yield record

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """Keeps the epochs."""
        if isinstance(record, EpochRecord):
            self.epochs.append(record)
        elif isinstance(record, PhaseEnded) and record.name == "stopped":
            self.stopped = record


def due(ours: int, num_epochs: int, *, bare_first: bool) -> int:
    """How many bare epochs shall be done once `ours` of Bakeoff's are: A BB AA BB A, or B AA BB AA B."""
    return min(num_epochs, 1 + 2 * (ours // 2) if bare_first else 2 * ((ours + 1) // 2))


def main() -> int:
    """Measure and judge; 0 if no backend's median is beyond the goal."""
    arguments = _arguments()
    known = {contestant.name: contestant for contestant in (*TODAY, *VINTAGE)}
    chosen = [known[name] for name in arguments.backends or [one.name for one in TODAY]]
    chosen += [one for one in VINTAGE if arguments.vintage and one not in chosen]
    if arguments.images:
        chosen = [replace(one, train_images=arguments.images) for one in chosen]
    chance = random.Random(arguments.seed)
    pairs: dict[Contestant, list[Pair]] = {contestant: [] for contestant in chosen}
    print(f"{arguments.pairs} pairs of {arguments.epochs} epochs each, seed {arguments.seed}")
    for block in range(arguments.pairs):
        for contestant in chance.sample(chosen, len(chosen)):
            with tempfile.TemporaryDirectory(prefix="bench-overhead-") as folder:
                bare_first = chance.random() < 0.5
                pair = _pair(
                    contestant,
                    block,
                    arguments.epochs,
                    Path(folder),
                    bare_first=bare_first,
                    as_users_get_it=arguments.as_users_get_it,
                )
            pairs[contestant].append(pair)
            print(
                f"{block + 1}/{arguments.pairs} {contestant.name}: Bakeoff {pair.ours_s:.2f} s,"
                f" bare {pair.bare_s:.2f} s, ratio {pair.ratio:.4f},"
                f" of CPU {pair.ours_cpu_s / pair.bare_cpu_s:.4f}",
                flush=True,
            )
    everything = [pair for found in pairs.values() for pair in found]
    share = sum(pair.stopped_cpu_s for pair in everything) / sum(pair.stopped_s for pair in everything)
    stopped = Figure(
        f"CPU of a stopped run {share:.4%} of a core",
        f"≤ {MAX_STOPPED_SHARE:.1%}",
        share <= MAX_STOPPED_SHARE,
    )
    return conclude("overhead", [*(_judge(one, found) for one, found in pairs.items()), stopped])


def _pair(
    contestant: Contestant,
    block: int,
    num_epochs: int,
    folder: Path,
    *,
    bare_first: bool,
    as_users_get_it: bool,
) -> Pair:
    """One run through Bakeoff and one bare process, epoch by epoch in turn."""
    settings = {
        "global_batch_size": _BATCH,
        "train_images": contestant.train_images,
        "evaluation_images": _EVALUATION_IMAGES,
        "epochs": num_epochs,
        "keep_memory": not as_users_get_it,
        "autotune_input": as_users_get_it or contestant.backend != "tensorflow",
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    lines += [f'backend = "{contestant.backend}"', f'environment = "{contestant.environment}"']
    file = folder / "overhead.toml"
    head = f'repeats = 1\nseed = {block}\norder = "alternating"\n[defaults]\ndataset = "mnist"'
    file.write_text("\n".join([head, *lines]))
    environment = environments.ensure(
        contestant.environment, backend=contestant.backend, listener=messages(print)
    )
    bare_settings = folder / "bare.json"
    bare_settings.write_text(json.dumps(settings | {"dataset": str(datasets.ensure("mnist").path)}))
    with Bare(contestant, environment, bare_settings) as bare:
        turns = Turns(bare, num_epochs, bare_first=bare_first)
        tally = session.run(
            study.load(str(file)),
            folder / "store.sqlite",
            listener=turns,
            launcher=turns.launch,
            verify=False,
        )
        if not tally.all_ok or len(turns.epochs) != len(bare.epochs):
            raise SystemExit(f"{contestant.name}: the run did not end well: {tally.counts}")
        single = bare.ask("single")
    return Pair(
        ours_s=sum(epoch.train_s for epoch in turns.epochs),
        bare_s=sum(epoch["train_s"] for epoch in bare.epochs),
        ours_cpu_s=sum((epoch.user_s or 0) + (epoch.system_s or 0) for epoch in turns.epochs),
        bare_cpu_s=sum(epoch["cpu_s"] for epoch in bare.epochs),
        single_s=single["train_s"],
        stopped_s=turns.stopped.wall_s,
        stopped_cpu_s=(turns.stopped.user_s or 0) + (turns.stopped.system_s or 0),
    )


def _variables(contestant: Contestant, environment: Environment) -> dict[str, str]:
    """What the launcher and the backend would set, said again in our own words."""
    variables = {name: os.environ[name] for name in local.INHERITED if name in os.environ}
    variables.update(PYTHONHASHSEED="0", PYTHONNOUSERSITE="1", PYTHONUNBUFFERED="1")
    variables.update(environment.variables)
    backend = "tensorflow" if contestant.backend == "tensorflow1" else contestant.backend
    on_the_cpu = {
        "tensorflow": {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        "jax": {"JAX_PLATFORMS": "cpu"},
        "torch": {"CUDA_VISIBLE_DEVICES": ""},
        "theano": {},
    }
    variables.update(KERAS_BACKEND=backend, **on_the_cpu[backend])
    if backend == "theano" and environment.blas_library:
        library = environment.blas_library
        flags = [
            *("floatX=float32", "device=cpu", "openmp=True"),
            f"base_compiledir={environment.scratch / 'theano'}",
            f"blas.ldflags=-L{library.parent} -l:{library.name}",
        ]
        variables["THEANO_FLAGS"] = ",".join(flags)
    return variables


def _judge(contestant: Contestant, pairs: Sequence[Pair]) -> Figure:
    """The median ratio beside the goal; what it rests on is printed above the last line."""
    ratios = [pair.ratio for pair in pairs]
    median = statistics.median(ratios)
    low, high, coverage = stats.median_interval(ratios)
    cpu = statistics.median(pair.ours_cpu_s / pair.bare_cpu_s for pair in pairs)
    single = statistics.median(pair.ours_s / pair.single_s for pair in pairs)
    print(
        f"{contestant.name}: median ratio {median:.4f}, range {min(ratios):.4f} to {max(ratios):.4f},"
        f" {100 * coverage:.0f} % interval of the median {low:.4f} to {high:.4f} ({len(pairs)} pairs);"
        f" CPU seconds {cpu:.4f}; against one fit of all epochs, shuffled by Keras, {single:.4f}"
    )
    text = f"{contestant.name} {median:.3f} ({low:.3f} to {high:.3f}) in {len(pairs)} pairs"
    goal = f"≤ {MAX_RATIO}, interval below {MAX_HIGH}, in {MIN_PAIRS}"
    return Figure(text, goal, median <= MAX_RATIO and high < MAX_HIGH and len(pairs) >= MIN_PAIRS)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="bench-overhead", description=(__doc__ or "").partition("\n\n")[0])
    names = [contestant.name for contestant in (*TODAY, *VINTAGE)]
    parser.add_argument("--pairs", type=int, default=8, help="for each backend (default: 8)")
    parser.add_argument(
        "--epochs", type=int, default=4, help="of each run of a pair, an even number (default: 4)"
    )
    parser.add_argument("--backends", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--vintage", action="store_true", help="with Keras 2's Theano and TensorFlow 1 too")
    parser.add_argument(
        "--as-users-get-it", action="store_true", help="memory and TensorFlow's tuner as by default"
    )
    parser.add_argument("--images", type=int, help="of an epoch (default: what takes about four seconds)")
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: 1)")
    arguments = parser.parse_args()
    if arguments.epochs % 2:
        parser.error("an odd number of epochs can't be taken in turns of two")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
