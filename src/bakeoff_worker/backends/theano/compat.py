"""Names that Python 3.10 and NumPy 1.24 removed and that Theano 1.0.5 still asks for.

Put back before Theano is imported; its own files stay as published. On older Pythons nothing is missing
and nothing is done.

From Python 3.11 on the C code of its `scan`, which recurrent layers go through, doesn't compile: it asks for
a header that is gone, and for insides of the interpreter. Theano then has a loop in Python for it, which it
takes where that C code can't be imported.
"""

import collections
import collections.abc
import inspect
import sys
from typing import Any

import numpy

SCANS_IN_PYTHON = sys.version_info >= (3, 11)
_ArgSpec = collections.namedtuple("_ArgSpec", ["args", "varargs", "keywords", "defaults"])


def install() -> None:
    """Restore what is missing in `collections`, `inspect` and `numpy`; have `scan` loop in Python."""
    if SCANS_IN_PYTHON:
        sys.modules["theano.scan_module.scan_perform_ext"] = None  # type: ignore[assignment]
    for name in collections.abc.__all__:
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    if not hasattr(inspect, "getargspec"):
        inspect.getargspec = _getargspec  # type: ignore[attr-defined]
    for name, value in (
        ("bool", bool),
        ("int", int),
        ("float", float),
        ("complex", complex),
        ("object", object),
        ("str", str),
    ):
        if name not in numpy.__dict__:
            setattr(numpy, name, value)


def _getargspec(function: Any) -> Any:
    """The four-field answer that `inspect.getargspec` gave."""
    full = inspect.getfullargspec(function)
    return _ArgSpec(full.args, full.varargs, full.varkw, full.defaults)
