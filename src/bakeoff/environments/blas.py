"""The OpenBLAS that numpy's or scipy's wheel bundles, which Theano links against.

Without a real BLAS Theano falls back on its own, which aborts in training (`PyEval_SaveThread: NULL tstate`).
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path

# numpy from 1.22 on bundles a build with 64-bit integers and suffixed symbols (libopenblas64_...), of no use
# to Theano; scipy's has the plain names. Wheels before about 2020 keep their libraries in `.libs`.
_FOLDERS = ("numpy.libs", "numpy/.libs", "scipy.libs", "scipy/.libs")


@functools.cache
def compiler() -> Mapping[str, str]:
    """The compiler that Theano calls, by its version; empty where there is none."""
    try:
        asked = subprocess.run(["g++", "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"g++": asked.stdout.partition("\n")[0]}


def bundled_openblas(site_packages: Path) -> Path | None:
    """The shared library with plain BLAS symbols in one of the wheels; None without (conda, MKL)."""
    for name in _FOLDERS:
        for library in sorted((site_packages / name).glob("libopenblas*.so*")):
            if not library.name.startswith("libopenblas64_"):
                return library
    return None


def variables(library: Path | None, inherited: str = "") -> dict[str, str]:
    """What a process needs to link and load it. inherited: the ``LD_LIBRARY_PATH`` to keep behind it."""
    if library is None:
        return {}
    path = f"{library.parent}:{inherited}" if inherited else str(library.parent)
    return {"LD_LIBRARY_PATH": path, "BAKEOFF_BLAS_LIBRARY": str(library)}
