"""What a study's own contestants, models and data are, found out before its first run, to name trials by.

Data are known by their arrays (`bakeoff.datasets`); a contestant or a model by all that it reads while it is
built, which is observed in its environment, once, and trusted while all of that is as it was.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff import cache, datasets, environments, inputs, plan
from bakeoff.datasets import Prepared
from bakeoff.environments import Environment
from bakeoff.errors import BakeoffError, DatasetError, EnvironmentFailure, ModelFailure
from bakeoff.events import Listener, ignore, tell
from bakeoff.execute import Provision
from bakeoff.inputs import Inputs
from bakeoff.launchers.base import Launch, Launcher
from bakeoff.prepare import data_content, served
from bakeoff.study import Study
from bakeoff.study.identification import identified
from bakeoff_worker.job import Job, RunPaths, RunSpec, TrialSettings
from bakeoff_worker.models.catalogue import MODELS
from bakeoff_worker.records import ModelRead, RunEnded

# Raised when the same model is to be looked at anew.
_LOOK_VERSION = 3  # 2: its outputs are looked at, too; 3: with random weights, and declared logits
_TIME_LIMIT_S = 3600.0  # as for a verification: Theano may have to compile
Provisions = Mapping[str, Provision | BakeoffError]


@dataclass(frozen=True)
class Identified:
    """A study whose trials are known by what they are made of, and what they run on, by trial_id."""

    study: Study
    provisions: Provisions


def identify(
    study: Study,
    provisions: Provisions,
    *,
    launcher: Launcher,
    listener: Listener = ignore,
) -> Identified:
    """The study with the content of own contestants, models and data; what can't be told has its reason.

    provisions: by the trial_ids that the study has now.

    Raises:
        StudyError: two trials turn out to be the same.
    """
    settings = _settings_of(study)
    contents: dict[str, dict[str, str]] = {}
    found: dict[str, Provision | BakeoffError] = {}
    looks: dict[str, Inputs | ModelFailure] = {}
    for trial_id, provision in provisions.items():
        setting = settings[trial_id]
        found[trial_id] = provision
        if isinstance(provision, BakeoffError):
            continue
        content = dict(provision.content)
        if _program(setting):
            key = _key(setting, provision.environment, provision.dataset)
            if key not in looks:
                looks[key] = _look(key, setting, provision, launcher, listener)
            looked = looks[key]
            if isinstance(looked, ModelFailure):
                found[trial_id] = looked
                continue
            content[_kind(setting)] = _code_digest(looked)
            found[trial_id] = dataclasses.replace(provision, code=looked)
        if content:
            contents[trial_id] = content
    _fill_in_models(settings, contents)
    now = identified(study, contents)
    new_ids = dict(zip(settings, _settings_of(now).values(), strict=True))
    return Identified(now, {new_ids[trial_id].trial_id: one for trial_id, one in found.items()})


def known(study: Study) -> Study:
    """The study as `identify` would have it, as far as is known without making or running anything.

    Raises:
        StudyError: two trials turn out to be the same.
    """
    contents: dict[str, dict[str, str]] = {}

    @functools.cache
    def find(name: str, backend: str | None) -> Environment | None:
        return environments.find(name, request=study.environments.get(name), backend=backend)

    @functools.cache
    def data_of(*key: Any) -> Prepared | None:
        return datasets.known(*key)

    for trial_id, settings in _settings_of(study).items():
        try:
            data = data_of(settings.dataset, settings.image_size, settings.data_scale)
            environment = find(settings.environment, served(settings)) if _program(settings) else None
        except (DatasetError, EnvironmentFailure):
            continue
        if data is None:
            continue
        content = dict(data_content(settings, data))
        looked = _kept(_key(settings, environment, data.path)) if environment else None
        if looked:
            content[_kind(settings)] = _code_digest(looked)
        if content:
            contents[trial_id] = content
    _fill_in_models(_settings_of(study), contents)
    return identified(study, contents)


def _settings_of(study: Study) -> dict[str, TrialSettings]:
    return {trial.trial_id: trial.settings for trial in study.all_trials}


# ---- contestants and models -------------------------------------------------------------------------


def _kind(settings: TrialSettings) -> str:
    """Whether the trial's own program is a contestant, which may build a model of the user's, or a model."""
    return "contestant" if settings.contestant else "model"


def _program(settings: TrialSettings) -> Path | None:
    """The user's own file that a trial runs; None where Bakeoff brings all of it."""
    own = settings.contestant or (settings.model not in MODELS and settings.model)
    return Path(own) if own else None


def _fill_in_models(settings: Mapping[str, TrialSettings], contents: Mapping[str, dict[str, str]]) -> None:
    """A contestant need not build the user's model: this is what others read of it, or else its file."""

    def model(trial_settings: TrialSettings) -> str:
        return json.dumps([trial_settings.model, dict(trial_settings.model_options)], sort_keys=True)

    read = {model(settings[trial_id]): one["model"] for trial_id, one in contents.items() if "model" in one}
    for trial_id, content in contents.items():
        setting = settings[trial_id]
        if "contestant" in content and setting.model not in MODELS:
            content["model"] = read.get(model(setting)) or _code_digest(inputs.look([setting.model]))


def _look(
    key: str,
    settings: TrialSettings,
    provision: Provision,
    launcher: Launcher,
    listener: Listener,
) -> Inputs | ModelFailure:
    """What a program reads: as it was seen before, if nothing of it has changed, else by building it now."""
    kept = _kept(key)
    if kept is not None:
        return kept
    name = (_program(settings) or Path()).name
    tell(listener, f"looking, once, at what {name} reads ({settings.backend})")
    for _ in range(2):  # some models write a file the first time, and read it from then on
        began_ns = inputs.now_ns()
        looked = _look_now(settings, provision, launcher)
        if isinstance(looked, ModelFailure):
            return looked
        if looked.settled_before(began_ns):
            _keep(key, looked)
            return looked
    return ModelFailure(
        f"{name}: it, or what it reads, changes while it is looked at; expected files that stay",
        "Let it read what it needs, and write nothing.",
    )


def _look_now(settings: TrialSettings, provision: Provision, launcher: Launcher) -> Inputs | ModelFailure:
    """What a program reads, by building its model in its environment; a contestant is tried out, too."""
    program = _program(settings) or Path()
    seen: ModelRead | None = None
    ended = RunEnded("interrupted", "stopped by the user")
    with tempfile.TemporaryDirectory(prefix="bakeoff-look-") as folder:
        scratch = provision.environment.scratch / "looks"
        scratch.mkdir(parents=True, exist_ok=True)
        paths = RunPaths(
            dataset=str(provision.dataset),
            model_file=str(provision.model_file) if provision.model_file else None,
            scratch=str(scratch),
            records=str(Path(folder, "records.jsonl")),
            looks=True,
        )
        asked = dataclasses.replace(settings.reduced(), time_limit_s=_TIME_LIMIT_S)
        spec = RunSpec(asked, program.name, 0, 0, 0, plan.run_seed(0, 0))
        records = launcher(Launch(Job(spec, paths), provision.environment, Path(folder, "log.txt")))
        try:
            for record in records:
                if isinstance(record, ModelRead):
                    seen = record
                if isinstance(record, RunEnded):
                    ended = record
        finally:
            records.close()
    if ended.status == "skipped":
        seen = ModelRead([str(program)], [], [])  # its runs will be skipped, too
    elif ended.status != "ok" or seen is None:
        return ModelFailure(ended.reason or f"{program.name}: no model was built", ended.last_lines)
    try:
        return inputs.look(inputs.paths_of(dataclasses.asdict(seen), program))
    except OSError as error:
        return ModelFailure(f"{error.filename}: can't be read ({error.strerror})")


def _code_digest(looked: Inputs) -> str:
    """What a program is: its own name and its folder's place don't matter, nor what wasn't there."""
    files = [[name, content] for name, content in inputs.relative_names(looked).items() if content]
    return f"read:{hashlib.sha256(json.dumps(sorted(files)).encode()).hexdigest()}"


def _key(settings: TrialSettings, environment: Environment, dataset: Path) -> str:
    """What may decide what a program reads, beside what it reads."""
    about: Mapping[str, Any] = json.loads((dataset / "about.json").read_text(encoding="utf-8"))
    asked = dataclasses.asdict(settings.reduced())
    del asked["content"], asked["dataset"]
    form = [about["image_shape"], about["num_classes"]]
    text = json.dumps([_LOOK_VERSION, environment.digest, form, asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file(key: str) -> Path:
    return cache.root() / "models" / f"{key}.json"


def _kept(key: str) -> Inputs | None:
    try:
        before = inputs.from_document(json.loads(_file(key).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    now = before.looked_at_again()
    if now is not None and now != before:
        _keep(key, now)
    return now


def _keep(key: str, looked: Inputs) -> None:
    file = _file(key)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(looked.document()), encoding="utf-8")
    fresh.replace(file)
