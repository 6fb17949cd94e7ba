"""Which evaluation images a run got wrong after its last epoch, for comparisons image by image.

Taken when training is over and no clock of it runs, in a phase of its own.
"""

import base64
from typing import Any

import numpy as np

from bakeoff_worker.backends.base import BackendBase
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.records import Outcomes, PhaseEnded, Record, RunWarning


def emit(backend: BackendBase, x: Any, y: Any, epoch: int, channel: Channel) -> None:
    """Say which of the evaluation images `x`, `y` the network gets wrong, as `epoch` left it.

    Where the backend can't tell, a warning says why: what was measured before holds all the same.
    """
    watch = Stopwatch()
    found: Record
    try:
        found = Outcomes(epoch, len(x), pack(backend.wrong(x, y)))
    except Exception as error:
        reason = "{}: {}".format(type(error).__name__, error)
        found = RunWarning("which images were got wrong is not known: {}".format(reason[:1000]))
    span = watch.stop()
    channel.emit(found)
    channel.emit(PhaseEnded("outcomes", span.wall_s, span.user_s, span.system_s))


def pack(wrong: Any) -> str:
    """Booleans (num_images,) as base64 of eight images a byte, as `numpy.unpackbits` takes them apart."""
    return base64.b64encode(np.packbits(np.asarray(wrong, dtype=bool)).tobytes()).decode("ascii")
