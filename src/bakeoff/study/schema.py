"""Each key's type and range, in pydantic; and how a mistake in one is worded.

Two models: the file around the settings, and the settings, any of which may be left out of a table.
Strict throughout: ``epochs = "10"`` is a mistake, not a ten.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from bakeoff import registry
from bakeoff.study.document import Place, Problems
from bakeoff.study.words import UNSET_WORDS
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS
from bakeoff_worker.job import ORDERS
from bakeoff_worker.models.catalogue import LOSSES, OPTIMIZERS, OWN, SCHEDULES

_PRECISIONS = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
# What people write, and what it is called here; difflib finds misspellings but not other names.
OTHER_NAMES: Mapping[str, str] = {
    "batch_size": "global_batch_size",
    "batch": "global_batch_size",
    "batch_size_per_executor": "batch_size_per_task",
    "lr": "learning_rate",
    "network": "model",
    "data": "dataset",
    "num_epochs": "epochs",
    "dtype": "precision",
    "data_format": "data_layout",
    "num_threads": "threads",
    "xla": "jit",
    "jit_compile": "jit",
    "timeout": "time_limit_s",
    "env": "environment",
    "alternate": "alternating",
    "alternated": "alternating",
    "slice_steps": "turn_steps",
    "num_repeats": "repeats",
    "runs": "repeats",
    "axes": "matrix",
    "trial": "trials",
    "then": "follow_up",
    "rules": "verdicts",
    "max_repeats": "max_blocks",
    "hours": "max_hours",
    "fashion": "fashion_mnist",
    "cifar": "cifar10",
    "cuda": "gpu",
    "nchw": "channels_first",
    "nhwc": "channels_last",
    "fp32": "float32",
    "fp64": "float64",
    "patience": "early_stopping",
    "clipvalue": "clip_value",
    "global_clipnorm": "clip_global_norm",
    "mse": "mean_squared_error",
    "crossentropy": "categorical_crossentropy",
    "backend": "contestant",
    "environment": "contestant",
    "scale": "data_scale",
    "spark": "elephas",
    "cluster": "elephas",
    "async": "asynchronous",
    "sync": "synchronous",
}

# Variables that decide where a run's process finds itself, and which contestant it is.
VARIABLES_OF_OURS = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "KERAS_BACKEND", "KERAS_HOME", "THEANORC"),
        *("PYTHONHASHSEED", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "PYTHONPATH", "PYTHONHOME"),
        *("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "NPROC", "TORCHINDUCTOR_CACHE_DIR"),
    }
)

# Names of what trains otherwise than anything here: near in letters, and no misspelling.
_SOMETHING_ELSE = frozenset(
    {
        *(
            "nadam",
            "adagrad",
            "adadelta",
            "adafactor",
            "ftrl",
            "lamb",
            "lion",
            "muon",
            "radam",
            "rprop",
            "asgd",
        ),
        *(
            "binary_focal_crossentropy",
            "categorical_focal_crossentropy",
            "mean_absolute_error",
            "hinge",
            "huber",
        ),
        *("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "squared_hinge", "poisson"),
        *("float16", "bfloat16", "clipnorm"),
    }
)
# Values that decide how a network trains: a suggestion must be as good as certain.
_TRAINING = frozenset({*OPTIMIZERS, *LOSSES, *SCHEDULES, *_PRECISIONS})


def suggestion(got: object, known: Iterable[str]) -> str:
    """``; did you mean `torch`?`` where a known name is near, else nothing.

    Never a recipe's value that trains otherwise than what was written.
    """
    known = list(known)
    word = str(got).lower()
    if word in _SOMETHING_ELSE:
        return ""
    aliases = {alias: name for name, (record, _) in registry.backends().items() for alias in record.aliases}
    meant = aliases.get(word) or OTHER_NAMES.get(word)
    near = [meant] if meant in known else []
    near = near or difflib.get_close_matches(word.replace("-", "_"), known, n=1, cutoff=0.6)
    near = [one for one in near if one not in _TRAINING or _similar(word, one) >= 0.8]
    return f"; did you mean `{near[0]}`?" if near else ""


def _similar(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def names(known: Iterable[str]) -> str:
    """Names as messages list them: `a`, `b`."""
    return ", ".join(f"`{name}`" for name in known)


def shown(value: object) -> str:
    """A value as the file has it, so that ``"200"`` and ``200`` differ; long ones cut."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _one_of(every: Callable[[], Iterable[str]] | Iterable[str]) -> AfterValidator:
    def check(value: str) -> str:
        known = tuple(every() if callable(every) else every)
        if value not in known:
            raise PydanticCustomError(
                "one_of",
                "{message}",
                {"message": f"expected one of {names(known)}; got `{value}`{suggestion(value, known)}"},
            )
        return value

    return AfterValidator(check)


def _or_word(key: str) -> BeforeValidator:
    return BeforeValidator(lambda value: None if value == UNSET_WORDS[key] else value)


def _share(value: object) -> object:
    """``"2%"`` and ``"0.25pp"``, as people say margins, for 0.02 and 0.0025; anything else as it is."""
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9.]+) ?(%|pp)", value)):
        try:
            return float(match[1]) / 100
        except ValueError:
            return value
    return value


Count = Annotated[int, Field(ge=1)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Fraction = Annotated[FiniteFloat, Field(gt=0, lt=1)]
Margin = Annotated[FiniteFloat, Field(ge=0, lt=1), BeforeValidator(_share)]


def _plain(value: object) -> object:
    if not isinstance(value, bool | int | float | str | list):
        message = f"expected a number, a switch, a name or a list; got {shown(value)}"
        raise PydanticCustomError("plain", "{message}", {"message": message})
    return value


Options = dict[str, Annotated[Any, AfterValidator(_plain)]]


def _class_weights(value: object) -> object:
    if value in (None, "balanced"):
        return value
    numbers = value if isinstance(value, list) else []
    if numbers and all(type(number) in (int, float) and 0 < number < math.inf for number in numbers):
        return [float(number) for number in numbers]
    expected = '"balanced", "none", or a list with a number above 0 for each class'
    message = f"expected {expected}; got {shown(value)}"
    raise PydanticCustomError("plain", "{message}", {"message": message})


def _variables(value: object) -> object:
    """Environment variables; an empty table is none, so that an axis can go back to that."""
    if not isinstance(value, dict):
        message = f"expected a table of environment variables; got {shown(value)}"
        raise PydanticCustomError("plain", "{message}", {"message": message})
    for name, text in value.items():
        expected = ""
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            expected = "names of capital letters, digits and `_`"
        elif name in VARIABLES_OF_OURS or name.startswith("BAKEOFF_"):
            expected = f"no `{name}`, which Bakeoff sets itself for every run"
        elif not isinstance(text, str):
            expected = "each value in quotes, as text"
        if expected:
            got = f"{name} = {shown(text)}"
            message = f"environment variables: expected {expected}; got {got}"
            raise PydanticCustomError("plain", "{message}", {"message": message})
    return dict(value) or None


class SettingsTable(BaseModel):
    """A partial `TrialSettings`: without ``content``, which is computed, and what the whole study has."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    backend: Annotated[str, _one_of(registry.backends)] = ""
    environment: Annotated[str, Field(min_length=1)] = ""
    model: Annotated[str, Field(min_length=1)] = ""
    model_options: Options = {}
    dataset: Annotated[str, Field(min_length=1)] = ""
    train_images: Annotated[Count | None, _or_word("train_images")] = None
    evaluation_images: Annotated[Count | None, _or_word("evaluation_images")] = None
    evaluation_split: Annotated[str, _one_of(("test", "validation"))] = ""
    validation_fraction: Fraction = 0.1
    image_size: Annotated[Count | None, _or_word("image_size")] = None
    preprocessing: Annotated[str, _one_of(("scale", "standardize", "none"))] = ""
    epochs: Count = 1
    global_batch_size: Count = 1
    optimizer: Annotated[str, _one_of((*OPTIMIZERS, OWN))] = ""
    optimizer_options: Options = {}
    learning_rate: Positive = 1
    loss: Annotated[str, _one_of((*LOSSES, OWN))] = ""
    from_logits: bool = False
    device: Annotated[str, _one_of(("cpu", "gpu"))] = ""
    gpu: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[Count | None, _or_word("threads")] = None
    pin_cpus: bool = False
    jit: Annotated[bool | None, _or_word("jit")] = None
    precision: Annotated[str, _one_of(_PRECISIONS)] = ""
    data_layout: Annotated[str, _one_of(("channels_last", "channels_first"))] = ""
    deterministic: bool = False
    time_limit_s: Annotated[Positive | None, _or_word("time_limit_s")] = None
    data_scale: Count = 1
    distribution: Annotated[str, _one_of(DISTRIBUTIONS)] = ""
    distribution_options: Options = {}
    entry: str = ""
    handicap: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    keep_memory: bool = False
    tf32: Annotated[bool | None, _or_word("tf32")] = None
    keep_event_logs: str = ""
    weight_decay: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    clip_value: Annotated[Positive | None, _or_word("clip_value")] = None
    clip_norm: Annotated[Positive | None, _or_word("clip_norm")] = None
    clip_global_norm: Annotated[Positive | None, _or_word("clip_global_norm")] = None
    label_smoothing: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.0
    schedule: Annotated[str, _one_of(SCHEDULES)] = ""
    schedule_options: Options = {}
    class_weights: Annotated[Any, AfterValidator(_class_weights), _or_word("class_weights")] = None
    early_stopping: Annotated[Count | None, _or_word("early_stopping")] = None
    contestant: Annotated[str, Field(min_length=1)] = ""
    steps_per_execution: Count = 1
    autotune_input: bool = True
    equivalent_layers: bool = False
    variables: Annotated[Any, AfterValidator(_variables)] = None


SETTINGS = tuple(SettingsTable.model_fields)


class EnvironmentTable(BaseModel):
    """``[environments.NAME]``."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    python: Annotated[str, Field(min_length=1)] | None = None
    lock: Annotated[str, Field(min_length=1)] | None = None
    python_version: Annotated[str, Field(pattern=r"^3\.\d+(\.\d+)?$")] | None = None


class FollowUpTable(BaseModel):
    """``[follow_up]``; its table of settings is read apart."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    choose: Annotated[str, Field(min_length=1)] = ""
    set: dict[str, Any] = {}


class VerdictsTable(BaseModel):
    """``[verdicts]``."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    margin: Margin = 0.02
    error_margin: Margin = 0.0025
    confidence: Annotated[FiniteFloat, Field(gt=0.5, lt=1), BeforeValidator(_share)] = 0.95
    errors: Literal["certified", "measured"] = "certified"
    compare: list[list[str]] = []
    until_decided: bool = False
    max_blocks: Count = 50
    max_hours: Positive | None = None


def _minutes(value: Any) -> Any:
    """A job's time in minutes, rounded up, from what people write for Slurm: 90, "1:30:00", "2-00:00:00"."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?", value.strip())
    if match is None:
        raise PydanticCustomError(
            "time",
            "expected minutes, or hours as `2:30:00`, with days as `1-12:00:00`; got `{got}`",
            {"got": value},
        )
    days, first, second, third = (None if part is None else int(part) for part in match.groups())
    # Slurm's forms: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]].
    if days is not None:
        seconds = 86400 * days + 3600 * (first or 0) + 60 * (second or 0) + (third or 0)
    elif third is not None:
        seconds = 3600 * (first or 0) + 60 * (second or 0) + third
    else:
        seconds = 60 * (first or 0) + (second or 0)
    return -(-seconds // 60)


class FarmTable(BaseModel):
    """``[farm]``, of a study or of the user's settings."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    partition: str = ""
    account: str = ""
    time: Annotated[Count | None, BeforeValidator(_minutes)] = None
    cpus: Count | None = None
    memory: Annotated[str, Field(pattern=r"^(\d+[KMGT]?B?)?$")] = ""
    gres: str = ""
    nodes: Count | None = None
    setup: list[str] = []
    exclusive: bool = True
    staging: Literal["shared", "packed"] = "shared"
    folder: str = ""


class StudyTable(BaseModel):
    """The file around the settings; tables of settings are read apart, see `bakeoff.study.rows`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = ""
    title: str = ""
    description: str = ""
    repeats: Count = 3
    seed: Annotated[int, Field(ge=0)] = 0
    order: Annotated[str, _one_of(ORDERS)] = "sequential"
    turn_steps: Annotated[Count | None, _or_word("turn_steps")] = None
    defaults: dict[str, Any] = {}
    matrix: dict[str, Any] = {}
    one_at_a_time: dict[str, Any] = {}
    trials: list[Any] = []
    exclude: list[Any] = []
    environments: dict[str, Any] = {}
    targets: dict[str, Any] = {}
    verdicts: dict[str, Any] = {}
    follow_up: dict[str, Any] = {}
    farm: dict[str, Any] = {}


SECTIONS = tuple(StudyTable.model_fields)

TableT = TypeVar("TableT", bound=BaseModel)


def read(
    table: type[TableT], data: Mapping[str, Any], place: Place, problems: Problems, skip: int = 0
) -> TableT:
    """The part of `data` that is right, key by key; mistakes go to `problems`.

    skip: leading steps inside `data` that `place` stands for already.
    """
    right = {}
    for key, value in data.items():
        try:
            right[key] = getattr(table.model_validate({key: value}), key)
        except ValidationError as error:
            problems.broken.add(key)
            for detail in error.errors(include_url=False):
                steps = tuple(step for step in detail["loc"] if step != "[key]")
                problems.add((*place, *steps[skip:]), _worded(detail, table))
    return table.model_construct(_fields_set=set(right), **right)


_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "string_too_short": "a name or a path",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
}
_PATTERNS = {
    "name": "letters, digits, `.`, `_` and `-`, the first one a letter or digit",
    "python_version": "a version such as `3.11`",
}


def _worded(detail: ErrorDetails, table: type[BaseModel]) -> str:
    kind, got = detail["type"], detail["input"]
    if kind in ("one_of", "plain"):
        return str(detail["ctx"]["message"])
    if kind == "extra_forbidden":
        return unknown_key(str(detail["loc"][-1]), table.model_fields)
    key = str(detail["loc"][0])
    expected = _PATTERNS[key] if kind == "string_pattern_mismatch" else _EXPECTED.get(kind)
    if expected is None:
        return f"{detail['msg'][0].lower()}{detail['msg'][1:]}; got {shown(got)}"
    expected = expected.format(**detail.get("ctx", {}))
    if key in UNSET_WORDS:
        expected += f' or "{UNSET_WORDS[key]}"'
    return f"expected {expected}; got {shown(got)}"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What is wrong with a key that no table has, and which one may have been meant."""
    if key == "content":
        return "unknown key `content`: digests of your files are computed, not set"
    if key in ("repeats", "seed", "order", "turn_steps") and "backend" in known:
        return f"unknown key `{key}`: it belongs at the top of the file"
    if key == "clipnorm":
        each, total = "`clip_norm` (each weight's gradient)", "`clip_global_norm` (all gradients together)"
        return f"unknown key `clipnorm`, of which Keras's releases mean two things: write {each} or {total}"
    return f"unknown key `{key}`{suggestion(key, known)}"
