"""Keys of a study and their values, as labels and messages call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Settings that are tables, each option with a meaning of its own.
OPTION_TABLES = ("model_options", "optimizer_options", "distribution_options", "schedule_options")

# TOML has no null: the word that means None, for each key that can be left to itself.
UNSET_WORDS: Mapping[str, str] = {
    "train_images": "all",
    "evaluation_images": "all",
    "image_size": "original",
    "threads": "default",
    "jit": "default",
    "time_limit_s": "none",
    "tf32": "default",
    "turn_steps": "epoch",
    "clip_value": "none",
    "clip_norm": "none",
    "clip_global_norm": "none",
    "class_weights": "none",
    "early_stopping": "never",
}

# Short names of keys, for values that need a name beside them.
_SHORT: Mapping[str, str] = {
    "global_batch_size": "batch",
    "train_images": "train",
    "evaluation_images": "evaluate",
    "image_size": "size",
    "learning_rate": "rate",
    "kernel_sizes": "kernels",
    "pin_cpus": "pinned",
    "keep_memory": "memory kept",
    "steps_per_execution": "steps a call",
    "autotune_input": "input tuned",
    "batch_size_per_task": "batch per task",
    "frequency": "every",
    "parameter_server": "server",
    "data_source": "data from",
    "data_url": "data at",
    "task_cpus": "CPUs per task",
    "python_memory_mib": "Python memory MiB",
    "executor_memory_mib": "executor memory MiB",
    "driver_memory_mib": "driver memory MiB",
    "reuse_python_workers": "Python workers reused",
}
_WORDS: Mapping[tuple[str, Any], str] = {
    ("distribution", "single"): "one machine",
    ("distribution_options.merge", "as_released"): "as released",
}


def text(key: str, value: Any) -> str:
    """A value as labels and messages show it."""
    if value is None:
        return UNSET_WORDS.get(key, "default")
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items())
    if isinstance(value, list):
        return "-".join(str(item) for item in value) or "none"
    return _WORDS.get((key, value), str(value))


def key_name(key: str) -> str:
    """A key as labels and messages call it."""
    name = key.rpartition(".")[2]
    return _SHORT.get(name, name.replace("_", " "))
