"""One writer per store: a lock on ``<store>.lock`` that the kernel lets go when its process dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from bakeoff.errors import StoreError

_PATIENCE_S = 1.0  # readers hold the lock for microseconds, to see whether a writer lives


def lock_path(store: Path) -> Path:
    """The file whose lock says who may write. It stays behind; only the lock counts."""
    return store.with_name(store.name + ".lock")


def acquire(store: Path, session: str) -> int:
    """A file descriptor that holds the store's lock until it is closed or the process dies.

    Raises:
        StoreError: another process writes; the message names it. Or the folder can't be written.
    """
    try:
        # Python's descriptors close on exec, so that no child of ours keeps the lock after us.
        descriptor = os.open(lock_path(store), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"{store}: can't be written: {os.strerror(error.errno or 0)}: {lock_path(store).name}",
            "Make the store's folder writable (and check its free space), or name another store.",
        ) from error
    try:
        _wait(descriptor, store)
        owner = {"pid": os.getpid(), "started_unix_s": time.time(), "session": session}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"{store}: its lock file can't be written: {os.strerror(error.errno or 0)}",
            "Check free space; file systems without locks (some network shares) can't hold a store.",
        ) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def living_session(store: Path) -> str | None:
    """The session that is writing right now; None if nobody is."""
    try:
        descriptor = os.open(lock_path(store), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return str(_owner(descriptor).get("session", ""))
    except OSError:
        return None  # no locks on this file system, so no writer either
    finally:
        os.close(descriptor)
    return None


def _wait(descriptor: int, store: Path) -> None:
    """Take the lock, or say who has it."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise
            if time.monotonic() > deadline:
                owner = _owner(descriptor)
                pid, since = owner.get("pid", "unknown"), owner.get("started_unix_s")
                started = datetime.fromtimestamp(since).isoformat(" ", "seconds") if since else "unknown"
                raise StoreError(
                    f"{store}: process {pid} (started {started}) is writing to it; one at a time can",
                    "Wait for it to end, stop it, or name another store. Reading is possible meanwhile.",
                ) from None
            time.sleep(0.02)


def _owner(descriptor: int) -> dict[str, Any]:
    """What the holder wrote about itself; empty if it has not yet."""
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
