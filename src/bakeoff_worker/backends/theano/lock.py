"""How long this process has waited for the lock of Theano's compile directory, which processes share."""

import time
from typing import Any, List

_waits_s: List[float] = []


def watch() -> None:
    """From now on, note every wait. Call it once, after Theano is imported."""
    from theano.gof import compilelock

    own = compilelock.lock

    def lock(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return own(*arguments, **options)
        finally:
            _waits_s.append(time.perf_counter() - began)

    compilelock.lock = lock


def waited_s() -> float:
    """Seconds in all."""
    return sum(_waits_s)
