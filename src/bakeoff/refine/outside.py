"""What was found, for a study file, and as lines that do the same without Bakeoff."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bakeoff.refine.space import Option, changed
from bakeoff_worker.records import TrialSettings


def toml(settings: TrialSettings, chosen: Sequence[Option]) -> str:
    """The settings that the options change, as a study's ``[defaults]``."""
    tuned = changed(settings, *(one.changes for one in chosen))
    keys = dict.fromkeys(key for one in chosen for key in one.changes)
    return "\n".join(["[defaults]", *(f"{key} = {_value(getattr(tuned, key))}" for key in keys)])


def shell(settings: TrialSettings, chosen: Sequence[Option]) -> tuple[str, ...]:
    """Lines of a shell that set what has to stand before Python starts."""
    tuned = changed(settings, *(one.changes for one in chosen))
    exports = tuple(f"export {name}='{text}'" for name, text in (tuned.variables or {}).items())
    return (*exports, *_lines(tuned, [one.knob.shell for one in chosen]))


def python(settings: TrialSettings, chosen: Sequence[Option]) -> tuple[str, ...]:
    """Lines of Python and plain Keras."""
    tuned = changed(settings, *(one.changes for one in chosen))
    return _lines(tuned, [one.knob.python for one in chosen])


def _lines(tuned: TrialSettings, found: Sequence[Any]) -> tuple[str, ...]:
    values = asdict(tuned)
    templates = (line for lines in found for line in lines.get(tuned.backend, lines.get("", ())))
    return tuple(line.format(**values) for line in templates)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {json.dumps(text)}" for name, text in value.items()) + " }"
    return json.dumps(value)
