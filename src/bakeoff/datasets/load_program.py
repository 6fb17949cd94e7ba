"""The child process that calls the ``load()`` of a user's file.

``python -m bakeoff.datasets.load_program FILE OUT`` writes the four arrays to the folder OUT. Whatever goes
wrong in it is told on its error output.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff_worker.reading import Reading

_BAKEOFF = Path(__file__).parents[1]


def main(file: Path, out: Path) -> None:
    """Call ``load()``; save what it returns, and beside it ``read.json``, what it read."""
    _end_with_parent()
    sys.path.insert(0, str(file.parent))
    loader = importlib.util.spec_from_file_location("__bakeoff_user_data__", file)
    if loader is None or loader.loader is None:
        raise SystemExit(f"{file}: no Python file")
    module = importlib.util.module_from_spec(loader)
    sys.modules[loader.name] = module
    with Reading(leave_out=[str(_BAKEOFF), str(out)]) as reading:
        loader.loader.exec_module(module)
        if not callable(getattr(module, "load", None)):
            raise SystemExit(f"{file}: has no function load()")
        arrays = _named(module.load())
    for name, array in arrays.items():
        if array.dtype == object:
            raise SystemExit(f"{name}: got Python objects, expected an array of numbers")
        np.save(out / f"{name}.npy", array, allow_pickle=False)
    (out / "read.json").write_text(json.dumps(reading.found()), encoding="utf-8")


def _named(returned: Any) -> dict[str, Any]:
    try:
        (x_train, y_train), (x_test, y_test) = returned
    except (TypeError, ValueError):
        raise SystemExit(
            f"load() returned {type(returned).__name__}, expected ((x_train, y_train), (x_test, y_test))"
        ) from None
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    return {name: np.asarray(array) for name, array in arrays.items()}


def _end_with_parent() -> None:
    """End when the parent does, however it ends: its end of our standard input closes then."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
