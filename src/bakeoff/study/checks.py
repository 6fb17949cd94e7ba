"""What must hold between the keys of one configuration; each mistake at the key to change."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from bakeoff import registry
from bakeoff.study import content, recipe
from bakeoff.study.definitions import DATASETS, LATER_SETTINGS
from bakeoff.study.document import Place, Problems
from bakeoff.study.expansion import EACH_EPOCH, KNOWN_OPTIONS, DraftTrial
from bakeoff.study.schema import names, shown, suggestion
from bakeoff_worker.distribution.catalogue import CHOICES, PATTERNS
from bakeoff_worker.models.catalogue import ACTIVATIONS

Note = Callable[..., None]


def check(draft: DraftTrial, environments: Collection[str], problems: Problems) -> None:
    """Note what is wrong with a configuration whose keys are right one by one.

    environments: names of those that the file brings; they may serve any backend.
    """
    settings = draft.settings

    def note(message: str, *keys: str) -> None:
        """The mistake, at the first of these keys that an override gives, else that the file gives."""
        places = [draft.row[key].place for key in keys if key in draft.row]
        overridden = (place for place in places if problems.document.is_override(place))
        problems.add(next(overridden, places[0] if places else ()), message)

    if "backend" not in settings:
        if "backend" not in problems.broken:
            place: Place = next((v.place[:2] for v in draft.row.values() if v.place[0] == "trials"), ())
            problems.add(place, "no backend: name one here or in [defaults], or several in [matrix]")
        return
    _check_environment(draft, environments, note)
    _check_sizes(settings, note)
    if settings["tf32"] is not None and settings["device"] == "cpu":
        note(
            "TF32 is a way in which GPUs round: expected device `gpu` with it, or no `tf32`", "tf32", "device"
        )
    if settings["gpu"] and settings["device"] == "cpu":
        note("`gpu` chooses one of several cards: expected device `gpu` with it", "gpu", "device")
    if settings["from_logits"] and not settings["loss"].endswith("crossentropy"):
        note(f"loss `{settings['loss']}` takes no logits: expected a crossentropy", "from_logits", "loss")
    if settings["from_logits"] and not content.is_own("model", settings["model"]):
        note(f"`{settings['model']}` ends in a softmax: expected no `from_logits`", "from_logits", "model")
    options_are_right = _check_options(draft, problems)
    if options_are_right:
        recipe.check(draft, note)
    if settings["contestant"] and settings["distribution"] != "single":
        message = f"contestant `{settings['backend']}` trains in one process: expected distribution `single`"
        note(message, "distribution", "contestant")
    elif settings["distribution"] == "elephas" and options_are_right:
        _check_elephas(settings, environments, note)


def _check_environment(draft: DraftTrial, environments: Collection[str], note: Note) -> None:
    backend, environment = draft.settings["backend"], draft.settings["environment"]
    is_own = bool(draft.settings["contestant"])
    if environment is None and is_own:
        every = names([*registry.environments(), *environments])
        note(
            f"contestant `{backend}` names no environment: write `environment = ...`, one of {every}",
            "contestant",
        )
        return
    if environment in environments or (environment is None and draft.settings["distribution"] != "single"):
        return  # what can't be distributed at all is said by the check of the distribution
    ours = registry.environments()
    known = [*ours, *environments]
    if environment not in ours:
        note(
            f"expected one of {names(known)}; got `{environment}`{suggestion(environment, known)}",
            "environment",
        )
    elif not is_own and backend not in ours[environment].backends:
        serving = [name for name, served in ours.items() if backend in served.backends]
        note(
            f"environment `{environment}` serves {names(ours[environment].backends)}, not `{backend}`, "
            f"which runs in {names([*serving, *environments])}",
            "environment",
            "backend",
        )


def _check_sizes(settings: Mapping[str, Any], note: Note) -> None:
    train_images, batch = settings["train_images"], settings["global_batch_size"]
    dataset = DATASETS.get(settings["dataset"])
    if dataset:
        held_out = settings["evaluation_split"] == "validation"
        # Rounded as the worker does when it splits.
        num_held_out = round(dataset.num_train * settings["validation_fraction"]) if held_out else 0
        scale = settings["data_scale"]
        available = {
            "train_images": (dataset.num_train - num_held_out) * scale,
            "evaluation_images": num_held_out if held_out else dataset.num_test,
        }
        for key, limit in available.items():
            if settings[key] is not None and settings[key] > limit:
                asides = [f"data_scale is {scale}"] if scale > 1 else []
                asides += [f"{num_held_out} are held out for validation"] if held_out else []
                aside = f" ({', '.join(asides)})" if asides and key == "train_images" else ""
                note(f"`{settings['dataset']}` has {limit} images here{aside}; got {settings[key]}", key)
    if settings["distribution"] == "single" and train_images is not None and batch > train_images:
        message = f"a batch of {batch} is larger than the {train_images} training images"
        note(message, "global_batch_size", "train_images")
    if settings["model"] == "study_cnn" and dataset:
        _check_geometry(settings, settings["image_size"] or dataset.image_shape[0], note)


def _check_geometry(settings: Mapping[str, Any], image_size: int, note: Note) -> None:
    """The study's network must not shrink an image to nothing; each convolution is followed by pooling."""
    filters, kernels, pool = (
        settings[f"model_options.{key}"] for key in ("filters", "kernel_sizes", "pool_size")
    )
    sizes = (filters, kernels, [pool])
    if not all(
        isinstance(values, list) and all(type(v) is int and v > 0 for v in values) for values in sizes
    ):
        return  # said by the check of options
    if len(filters) != len(kernels):
        message = f"expected one kernel size for each of the {len(filters)} filter counts; got {len(kernels)}"
        note(message, "model_options.kernel_sizes", "model_options.filters")
        return
    size = image_size
    for layer, kernel in enumerate(kernels, 1):
        convolved = size - kernel + 1
        if convolved // pool < 1:
            note(
                f"images of {image_size} pixels are too small for kernels {kernels} with pooling by {pool}: "
                f"convolution {layer} gets {size} pixels and leaves {max(convolved, 0)}",
                *(
                    "image_size",
                    *(f"model_options.{key}" for key in ("kernel_sizes", "pool_size", "filters")),
                ),
            )
            return
        size = convolved // pool


def _check_options(draft: DraftTrial, problems: Problems) -> bool:
    """Note each option that its owner does not have or that has the wrong form; whether there was none."""
    settings, right = draft.settings, True

    def add(place: Place, message: str) -> None:
        nonlocal right
        right = False
        problems.add(place, message)

    for key, value in draft.row.items():
        table, _, option = key.partition(".")
        if not option:
            continue
        owner_key = table.partition("_")[0]
        owner = settings[owner_key]
        known: Mapping[str, Any] = KNOWN_OPTIONS[table].get(owner, {})
        if table == "model_options" and content.is_own("model", owner):
            accepted = content.build_options(Path(owner))
            if accepted is not None and option not in accepted:
                add(value.place, f"`build` in `{owner}` takes no `{option}`{suggestion(option, accepted)}")
        elif not known:
            add(
                value.place,
                f"{owner_key} `{owner}` has no options; give `{option}` only where the {owner_key} has it, "
                "in a list of tables or in [[trials]]",
            )
        elif option not in known:
            add(
                value.place,
                f"{owner_key} `{owner}` has no option `{option}`; it has {names(known)}"
                + suggestion(option, known),
            )
        else:
            mistake = _option_mistake(option, known[option], _plain(option, value.value))
            words = CHOICES.get(option, ACTIVATIONS if option == "activation" else ())
            if mistake:
                is_axis = value.place[0] in ("matrix", "one_at_a_time") and isinstance(value.place[-1], int)
                aside = (
                    ", since an axis is a list of lists"
                    if is_axis and isinstance(known[option], list)
                    else ""
                )
                got = f"got {shown(value.value)}{suggestion(value.value, words)}"
                add(value.place, f"expected {mistake}{aside}; {got}")
    return right


def _check_elephas(settings: Mapping[str, Any], environments: Collection[str], note: Note) -> None:
    """What must hold on a cluster."""
    backend, environment = settings["backend"], settings["environment"]
    of_cluster = {
        name: environment_spec
        for name, environment_spec in registry.environments().items()
        if environment_spec.has_spark
    }
    if environment not in (*of_cluster, *environments):
        serving = registry.environments_of(backend, has_spark=True)
        if serving:
            how = f"`{backend}` has Spark and Elephas in {names(serving)}"
        else:
            backends = dict.fromkeys(name for served in of_cluster.values() for name in served.backends)
            how = f"no release of Elephas runs with `{backend}`: expected one of {names(backends)}"
        got = f", not in `{environment}`" if environment and serving else ""
        note(f"distribution `elephas`: {how}{got}", "environment", "backend", "distribution")
    options = {
        key.partition(".")[2]: value
        for key, value in settings.items()
        if key.startswith("distribution_options.")
    }
    cores, task_cpus = int(options["layout"].split("x")[1]), options["task_cpus"]
    if cores % task_cpus:
        message = f"{cores} cores on a node can't be shared by tasks of {task_cpus}: expected a divisor"
        note(message, "distribution_options.task_cpus", "distribution_options.layout")
    if options["rounds"] > 1 and options["mode"] != "synchronous":
        message = f"Elephas's parameter server serves one fit; got {options['rounds']} rounds: expected 1"
        note(message, "distribution_options.rounds", "distribution_options.mode")
    if options["merge"] == "averaged" and options["mode"] != "synchronous":
        message = f"`averaged` corrects mode `synchronous` alone; the mode is `{options['mode']}`"
        note(message, "distribution_options.merge", "distribution_options.mode")
    if options["archive"] and "://" not in options["archive"] and not Path(options["archive"]).is_absolute():
        message = f"expected an absolute path or a URL; got `{options['archive']}`"
        note(message, "distribution_options.archive")
    kept = settings["keep_event_logs"]
    if kept and not Path(kept).is_absolute():
        note(f"expected the absolute path of a folder; got `{kept}`", "keep_event_logs")
    if settings["epochs"] % options["rounds"]:
        message = (
            f"{settings['epochs']} epochs can't be split into {options['rounds']} rounds: "
            f'expected a divisor, or "{EACH_EPOCH}" for one round an epoch'
        )
        note(message, "distribution_options.rounds", "epochs")
    if settings["device"] == "gpu":
        note("a cluster trains on CPUs only here; expected device `cpu`", "device", "distribution")
    for key in ("steps_per_execution", "autotune_input", "equivalent_layers", "variables"):
        if settings[key] != LATER_SETTINGS[key]:
            note(f"`{key}` is for trials on one machine: expected none here", key, "distribution")
    if settings["handicap"]:
        note("a handicap slows one process down, no cluster: expected 0", "handicap", "distribution")


def _plain(option: str, value: Any) -> Any:
    """The value without the word that stands for a number known only beside the other settings."""
    return 1 if option == "rounds" and value == EACH_EPOCH else value


def _option_mistake(option: str, default: Any, value: Any) -> str:
    """What an option should be, by its name or the form of its default; empty if it is that."""
    if option in CHOICES:
        return "" if value in CHOICES[option] else f"one of {names(CHOICES[option])}"
    if option in PATTERNS:
        pattern, words = PATTERNS[option]
        return "" if isinstance(value, str) and re.fullmatch(pattern, value) else words
    if default == "":
        return "" if isinstance(value, str) else "text"
    if isinstance(default, list):
        right = isinstance(value, list) and all(type(item) is int and item > 0 for item in value)
        return "" if right else "a list of whole numbers of at least 1"
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        least = min(default, 1)
        return "" if type(value) is int and value >= least else f"a whole number of at least {least}"
    if isinstance(default, float):
        right = type(value) in (int, float) and math.isfinite(value) and 0 <= value < 1
        return "" if right else "a number of at least 0 and less than 1"
    return "" if value in ACTIVATIONS else f"one of {names(ACTIVATIONS)}"
