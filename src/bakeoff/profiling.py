"""Where a contestant's time goes: a third kind of job beside run and verify; a profile is no timing."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from bakeoff import plan
from bakeoff.environments import Consent, unasked
from bakeoff.errors import BakeoffError, StudyError
from bakeoff.events import Listener, ignore, tell
from bakeoff.execute import Provision, condition_of
from bakeoff.identity import identify
from bakeoff.launchers import local
from bakeoff.launchers.base import Launch, Launcher, TurnAwaited
from bakeoff.prepare import prepare
from bakeoff.profile.profiled import VERSION, Answer, Profiled
from bakeoff.store.writer import ProfileRow, Writer
from bakeoff.study import Study, Trial
from bakeoff_worker.job import Job, RunPaths, RunSpec
from bakeoff_worker.records import Record, RunEnded

QUESTIONS = ("budget", "layers")
_TIME_LIMIT_S = 3600.0
_MAX_EPOCHS = 3


def profile(
    study: Study,
    store: Path,
    *,
    labels: Sequence[str] = (),
    launcher: Launcher = local.launch,
    listener: Listener = ignore,
    data_directory: Path | None = None,
    consent: Consent = unasked,
) -> Iterator[Profiled]:
    """Each contestant's profile, stored as soon as it is there; of those with these labels, or of all.

    The other arguments are those of `bakeoff.session.run`.

    Raises:
        StudyError: the study has no contestant of that label.
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one.
    """
    _check_labels(study, labels)
    specs = plan.expand(study)
    ready = prepare(study, specs, data_directory=data_directory, listener=listener, consent=consent)
    identified = identify(study, ready, launcher=launcher, listener=listener)
    seed = plan.run_seed(study.seed, 0)
    with Writer(store) as writer:
        for trial in identified.study.trials:
            if labels and trial.label not in labels:
                continue
            provision = identified.provisions[trial.trial_id]
            profiled = _profile(trial, provision, seed, launcher, listener)
            condition = condition_of(provision)
            writer.add_profile(
                ProfileRow(
                    trial_id=trial.trial_id,
                    label=trial.label,
                    machine_id=condition.machine_id,
                    environment_digest=condition.environment_digest,
                    profile_version=VERSION,
                    document=profiled.document(),
                )
            )
            yield profiled


def _check_labels(study: Study, labels: Sequence[str]) -> None:
    known = [trial.label for trial in study.trials]
    unknown = [f"--trial: {study.name} has no contestant {label!r}" for label in labels if label not in known]
    if unknown:
        raise StudyError(unknown, f"Its contestants: {', '.join(known)}.")


def _profile(
    trial: Trial, provision: Provision | BakeoffError, seed: int, launcher: Launcher, listener: Listener
) -> Profiled:
    """One contestant's answers to all questions."""
    settings = dataclasses.replace(
        trial.settings,
        epochs=min(trial.settings.epochs, _MAX_EPOCHS),
        time_limit_s=_TIME_LIMIT_S,
    )
    if isinstance(provision, BakeoffError):
        return Profiled(trial.label, settings, {}, provision.message)
    if settings.distribution != "single":
        return Profiled(
            trial.label,
            settings,
            {},
            "it trains on a cluster, and a profile is of one process: the report has a time budget of it",
        )
    answers: dict[str, Answer] = {}
    for question in QUESTIONS:
        tell(listener, f"{trial.label}: {question}")
        spec = RunSpec(settings, trial.label, 0, 0, 0, seed)
        answer = answers[question] = _ask(question, spec, provision, launcher)
        if answer.ended.status != "ok":
            tell(listener, f"{trial.label}: {question}: {answer.ended.status}: {answer.ended.reason}")
    return Profiled(trial.label, settings, answers)


def _ask(question: str, spec: RunSpec, provision: Provision, launcher: Launcher) -> Answer:
    """All records of one job, and its wall seconds from the launch until its process has left."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-profile-") as name:
        folder = Path(name)
        paths = RunPaths(
            dataset=str(provision.dataset),
            model_file=str(provision.model_file) if provision.model_file else None,
            scratch=str(provision.environment.scratch),
            records=str(folder / "records.jsonl"),
            profile=question,
        )
        began = time.perf_counter()
        records: list[Record] = []
        ended = RunEnded("interrupted", "stopped by the user")
        with closing(launcher(Launch(Job(spec, paths), provision.environment, folder / "log.txt"))) as job:
            for record in job:
                if isinstance(record, RunEnded):
                    ended = record
                elif not isinstance(record, TurnAwaited):
                    records.append(record)
        return Answer(tuple(records), time.perf_counter() - began, ended)
