"""Shows where a contestant's time goes, instead of timing it: a job of its own.

Two questions, each in a process of its own: how the wall time of a run is spent (`budget`), and what each
layer of the network takes (`layers`). The model is made ready as for a run, by the same calls.
"""

import dataclasses

from bakeoff_worker import loop
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job
from bakeoff_worker.profile import budget, layers

# Enough for steady steps, and little enough that a profile takes a minute.
NUM_TRAINED, NUM_EVALUATED = 2000, 1000
_QUESTIONS = {"budget": budget.show, "layers": layers.show}


def run(job: Job, channel: Channel, importing: Stopwatch) -> None:
    """Make the model ready, then show what is asked for, on the first images of those that a run would take.

    Raises:
        ModelError: the model can't be made, or is of the wrong form.
        Skip: the backend declines the settings.
    """
    backend, arrays = loop.made_ready(job, channel, importing)
    few = dataclasses.replace(
        arrays,
        x_train=arrays.x_train[:NUM_TRAINED],
        y_train=arrays.y_train[:NUM_TRAINED],
        x_evaluation=arrays.x_evaluation[:NUM_EVALUATED],
        y_evaluation=arrays.y_evaluation[:NUM_EVALUATED],
    )
    _QUESTIONS[job.paths.profile or "budget"](job, backend, few, channel)
