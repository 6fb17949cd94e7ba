"""Where downloaded and derived things live between studies."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """The cache folder, not necessarily existing: ``$BAKEOFF_CACHE``, or ``bakeoff`` in the user's cache.

    The user's cache is ``$XDG_CACHE_HOME`` or ``~/.cache``; ``~/Library/Caches`` on macOS and
    ``%LOCALAPPDATA%`` on Windows.
    """
    own = environ.get("BAKEOFF_CACHE", "")
    return Path(own).expanduser().absolute() if own else _user_cache(environ) / "bakeoff"


def _user_cache(environ: Mapping[str, str]) -> Path:
    """The platform's folder for things that can be made again."""
    xdg = environ.get("XDG_CACHE_HOME", "")
    if xdg and Path(xdg).is_absolute():  # a relative value is to be ignored, says the XDG specification
        return Path(xdg)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"])
    return Path.home() / ".cache"
