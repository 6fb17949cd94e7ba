"""A study from its plan to its stored results: what ``bakeoff run`` and a notebook have in common."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bakeoff import plan
from bakeoff.datasets import Progress
from bakeoff.execute import Listener, Tally, condition_of, execute
from bakeoff.launchers import local
from bakeoff.prepare import prepare
from bakeoff.store.reader import Reader
from bakeoff.store.writer import StudyRow, Writer
from bakeoff.study import Study
from bakeoff_worker.records import Record, RunEnded, RunSpec


def run(
    study: Study,
    store: str | Path = "bakeoff.sqlite",
    *,
    on_record: Callable[[RunSpec, Record], None] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    data_directory: Path | None = None,
) -> Tally:
    """Run what is missing of a study in a store; how many runs ended how.

    on_record: is given each record of each run once it is safe in the store, while the run waits.
    tell: is given lines for people, when something takes time or goes wrong; ``print`` will do.
    data_directory: is searched for data sets before any download.

    Raises:
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one.
        KeyboardInterrupt: the user stopped it; the same call goes on with what is missing.
    """
    listener = _Each(on_record) if on_record else Listener()
    return complete(study, Path(store), listener=listener, tell=tell, data_directory=data_directory)


def complete(
    study: Study,
    store: Path,
    *,
    listener: Listener,
    tell: Callable[[str], None],
    downloads: AbstractContextManager[Callable[[Progress], None]] | None = None,
    data_directory: Path | None = None,
) -> Tally:
    """Run what is missing of a study in a store; how many runs ended how.

    listener: is told of every run and record. downloads: takes the progress of fetching data, and is
    left before the first run starts, so that nothing draws while something is timed.

    Raises:
        StoreError, MachineError, KeyboardInterrupt: as `run`.
    """
    specs = plan.expand(study)
    with Writer(store) as writer:
        for recovered in writer.recover():
            tell(f"{recovered.label}, repeat {recovered.repeat + 1}: {recovered.end.reason}")
        writer.begin_study(study_row(study, specs))
        with downloads or nullcontext(lambda progress: None) as on_download:
            provisions = prepare(
                study, specs, data_directory=data_directory, tell=tell, on_download=on_download
            )
        with Reader(writer.path) as reader:
            conditions = {trial_id: condition_of(one).condition_id for trial_id, one in provisions.items()}
            done = reader.done(specs, conditions)
        left = plan.missing(specs, done)
        tell(f"{study.title}: {len(left)} of {len(specs)} runs to do; results go to {writer.path}")
        return execute(
            left,
            provisions,
            study_digest=study.digest,
            writer=writer,
            launcher=local.launch,
            listener=listener,
        )


def study_row(study: Study, specs: tuple[RunSpec, ...]) -> StudyRow:
    """The study as the store keeps it: the whole of it, so that it can be run again from there."""
    return StudyRow(
        digest=study.digest,
        name=study.name,
        title=study.title,
        document=study.document(),
        specs=specs,
        axes={trial.trial_id: trial.axes for trial in study.trials},
    )


class _Each(Listener):
    """Hands every record, the last one too, to a function."""

    def __init__(self, on_record: Callable[[RunSpec, Record], None]) -> None:
        self._on_record = on_record

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """Any record but the end."""
        self._on_record(spec, record)

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """The end."""
        self._on_record(spec, ended)
