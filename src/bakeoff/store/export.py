"""The store's frames as files for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
from polars import selectors

from bakeoff.errors import StoreError
from bakeoff.store.reader import Reader

_Write = Callable[[pl.DataFrame, Path], None]

FORMATS: Mapping[str, _Write] = {
    "csv": lambda frame, path: _as_text(frame).write_csv(path),
    "parquet": lambda frame, path: frame.write_parquet(path),
    "json": lambda frame, path: _as_text(frame).write_json(path),
}

# What not every run has: those on a cluster alone, or none of an older Bakeoff's. Without any there is no
# such file.
_OF_SOME = ("outcomes", "tasks", "executors", "samples")


def export(store: Path, out: Path, format: str, study: str | None = None) -> tuple[Path, ...]:
    """Write ``runs``, ``epochs`` and ``phases`` into the folder `out`; the paths of the files.

    Where it is known which images runs got wrong, also ``outcomes``; where runs were distributed, ``tasks``,
    ``executors`` and ``samples``. format: a key of `FORMATS`. CSV leaves missing values empty and writes NaN
    as ``NaN``; JSON is one array of objects, where NaN, too, is null; both write bytes as base64. Files of an
    earlier export are replaced, each at once.

    Raises:
        StoreError: unknown format, or the folder can't be written.
    """
    if format not in FORMATS:
        raise StoreError(
            f"expected a format of {', '.join(FORMATS)}; got `{format}`", "See `bakeoff export --help`."
        )
    with Reader(store) as reader:
        frames = {"runs": reader.runs(study), "epochs": reader.epochs(study), "phases": reader.phases(study)}
        of_some = {name: getattr(reader, name)(study) for name in _OF_SOME}
    frames |= {name: frame for name, frame in of_some.items() if len(frame)}
    paths = tuple(out / f"{name}.{format}" for name in frames)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for frame, path in zip(frames.values(), paths, strict=True):
            partial = path.with_name(f".{path.name}.partial")
            FORMATS[format](frame, partial)
            partial.replace(path)
        for name in of_some.keys() - frames.keys():
            (out / f"{name}.{format}").unlink(missing_ok=True)  # of an earlier export: other runs'
    except OSError as error:
        raise StoreError(
            f"{out}: can't be written: {error.strerror or error}", "Name another folder."
        ) from error
    return paths


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with its bytes as base64."""
    return frame.with_columns(selectors.binary().bin.encode("base64"))
