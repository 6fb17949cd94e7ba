"""What must hold between the keys of a training recipe; each mistake at the key to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bakeoff.study import content
from bakeoff.study.definitions import DATASETS
from bakeoff.study.expansion import DraftTrial
from bakeoff.study.schema import names
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import OWN

Note = Callable[..., None]

_CLIPS = ("clip_value", "clip_norm", "clip_global_norm")
# What an own optimizer says itself.
_OF_OPTIMIZER = ("learning_rate", "weight_decay", *_CLIPS, "schedule")
# What Elephas doesn't carry to its tasks, and why.
_NOT_ON_A_CLUSTER: Mapping[str, str] = {
    "schedule": "each task starts its optimizer anew, and its steps with it",
    "class_weights": "tasks are not told of them",
    "early_stopping": "its rounds are set beforehand",
    "label_smoothing": "no round with smoothed labels was verified",
}


def check(draft: DraftTrial, note: Note) -> None:
    """Note what is wrong with a recipe whose keys and options are right one by one.

    note: takes a message and the keys whose place is the mistake's.
    """
    settings = draft.settings
    _check_optimizer(settings, note)
    _check_loss(settings, note)
    _check_schedule(settings, note)
    _check_early_stopping(settings, note)
    _check_own(draft, note)
    if settings["distribution"] != "single":
        for key, why in _NOT_ON_A_CLUSTER.items():
            if settings[key] != getattr(TrialSettings, key):
                note(f"distribution `{settings['distribution']}` has no `{key}`: {why}; leave it out", key)
        for key in ("optimizer", "loss"):
            if settings[key] == OWN:
                note(f"distribution `{settings['distribution']}` takes no own {key}: name one here", key)


def _check_optimizer(settings: Mapping[str, Any], note: Note) -> None:
    if settings["optimizer"] == "adamw" and not settings["weight_decay"]:
        message = "`adamw` without weight decay is `adam`: write `weight_decay = 0.004` (Keras's own default)"
        note(f'{message}, or `optimizer = "adam"`', "weight_decay", "optimizer")
    if settings.get("optimizer_options.nesterov") and not settings["optimizer_options.momentum"]:
        message = "Nesterov's step without momentum is a plain step: write `momentum = 0.9`, or leave it out"
        note(message, "optimizer_options.nesterov")
    clips = [key for key in _CLIPS if settings[key] is not None]
    if len(clips) > 1:
        message = f"expected one of {names(_CLIPS)}; got {names(clips)}: leave out all but one"
        note(message, *reversed(clips))


def _check_loss(settings: Mapping[str, Any], note: Note) -> None:
    if settings["label_smoothing"] and settings["loss"] != "categorical_crossentropy":
        message = f"smoothed labels go with loss `categorical_crossentropy`; the loss is `{settings['loss']}`"
        note(f'{message}: write `loss = "categorical_crossentropy"`', "label_smoothing", "loss")
    factors = settings["class_weights"]
    if isinstance(factors, list):
        known = DATASETS.get(settings["dataset"])
        if known and len(factors) != known.num_classes:
            message = f"expected {known.num_classes} numbers, one for each class of `{settings['dataset']}`"
            note(f"{message}; got {len(factors)}", "class_weights")


def _check_schedule(settings: Mapping[str, Any], note: Note) -> None:
    epochs, name = settings["epochs"], settings["schedule"]
    warm_up = settings.get("schedule_options.warm_up_epochs", 0)
    if warm_up >= epochs:
        message = f"the warm-up takes {warm_up} of {epochs} epochs: expected fewer than there are"
        note(message, "schedule_options.warm_up_epochs", "epochs", "schedule")
    if name == "warm_up" and not warm_up:
        message = 'a warm-up of no epochs is none: write at least 1, or `schedule = "constant"`'
        note(message, "schedule_options.warm_up_epochs", "schedule")
    if name == "exponential" and not settings["schedule_options.factor"]:
        note("a factor of 0 ends the training: expected more than 0", "schedule_options.factor")
    if name != "step":
        return
    at_epochs = settings["schedule_options.at_epochs"]
    if not at_epochs or sorted(set(at_epochs)) != at_epochs or at_epochs[-1] >= epochs:
        message = (
            f"expected the numbers of epochs after which the rate falls, ascending and less than {epochs}; "
            f"got {at_epochs}: write `schedule_options = {{at_epochs = [{max(epochs // 2, 1)}]}}`"
        )
        note(message, "schedule_options.at_epochs", "schedule")


def _check_early_stopping(settings: Mapping[str, Any], note: Note) -> None:
    patience, epochs = settings["early_stopping"], settings["epochs"]
    if patience is None:
        return
    if settings["evaluation_split"] != "validation":
        message = (
            "on the test images it would choose the epoch by what the error is measured on: write "
            '`evaluation_split = "validation"`'
        )
        note(message, "early_stopping", "evaluation_split")
    if patience >= epochs:
        message = f"{patience} epochs without progress can't come before the last of {epochs}: expected fewer"
        note(message, "early_stopping", "epochs")


def _check_own(draft: DraftTrial, note: Note) -> None:
    """The user's own functions: asked for and there, or not there and not asked for."""
    settings, model = draft.settings, str(draft.settings["model"])
    functions = content.recipe(Path(model)) if content.is_own("model", model) else frozenset()
    for key in ("optimizer", "loss"):
        brings = {key, "compile"} & functions
        if settings[key] == OWN and not brings:
            where = f"`{model}` has neither" if content.is_own("model", model) else f"`{model}` is built in"
            note(
                f"own {key}: expected a function `{key}()` or `compile(model)` in the model file; {where}",
                key,
            )
        elif settings[key] != OWN and brings:
            message = (
                f"`{model}` has its own `{min(brings)}`, and the study trains with {key} `{settings[key]}`: "
                f'write `{key} = "{OWN}"`, or call the function otherwise'
            )
            note(message, key, "model")
    if "compile" in functions and functions & {"optimizer", "loss"}:
        note(f"`{model}` has `compile` beside `optimizer` or `loss`: expected one way of both", "model")
    keys = [key for key in _OF_OPTIMIZER if key in draft.row] if settings["optimizer"] == OWN else []
    for key in keys:
        if settings[key] != getattr(TrialSettings, key) or key == "learning_rate":
            message = f"the model file's own optimizer says this: leave `{key}` out"
            note(message, key)
