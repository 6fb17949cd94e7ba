"""Room on the disk, asked for before it is needed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bakeoff.errors import MachineError

_HINT = "make room, or set BAKEOFF_CACHE to a folder on a larger disk"


def require(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Return if the disk of `folder`, which need not exist yet, has room for `needed_bytes`.

    Raises:
        MachineError: it hasn't; says how many bytes are free and how many are needed.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise MachineError(
            f"no room for {purpose}: {existing} has {free / 1e6:,.0f} MB free, "
            f"expected at least {needed_bytes / 1e6:,.0f} MB",
            _HINT,
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full disk or a folder closed to us into an error that says where.

    Raises:
        MachineError: something in the block met a full, read-only or forbidden place.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(f"{folder}: the disk is full ({error.strerror})", _HINT) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
            raise MachineError(
                f"{error.filename or folder}: can't be written ({error.strerror})",
                "set BAKEOFF_CACHE to a folder that you may write to",
            ) from error
        raise
