"""The learning rate at each step: the one place that computes it.

Steps t count from 0, S of them make an epoch, T the whole training, and the first W are the warm-up. In it
the rate goes up in equal parts, rate · (t + 1) / W (Goyal et al. 2017, section 2.2), and then

    warm_up       rate
    step          rate · factor ^ (number of ``at_epochs`` that are over)
    cosine        rate · (f + (1 − f) · (1 + cos(π (t − W) / (T − W))) / 2), f the ``final_share``
                  (Loshchilov & Hutter 2017, without restarts)
    exponential   rate · factor ^ ((t − W) / S): by ``factor`` from one epoch to the next
"""

import math
from typing import Any, Optional

import numpy as np

from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import SCHEDULES


def rates(settings: TrialSettings, steps_per_epoch: int) -> Optional[Any]:
    """The rate at each step of a run, (epochs · steps_per_epoch,) in float64; None where it is constant."""
    name = settings.schedule
    if name == "constant":
        return None
    options = dict(SCHEDULES[name], **settings.schedule_options)
    num_steps = settings.epochs * steps_per_epoch
    num_warm = min(options["warm_up_epochs"] * steps_per_epoch, num_steps)
    step = np.arange(num_steps, dtype="float64")
    after = step - num_warm
    if name == "warm_up":
        shares = np.ones(num_steps)
    elif name == "step":
        borders = np.array(options["at_epochs"]) * steps_per_epoch
        shares = options["factor"] ** np.searchsorted(borders, step, side="right").astype("float64")
    elif name == "cosine":
        final = options["final_share"]
        shares = final + (1 - final) * (1 + np.cos(math.pi * after / max(num_steps - num_warm, 1))) / 2
    else:
        shares = options["factor"] ** (after / steps_per_epoch)
    return settings.learning_rate * np.where(after < 0, (step + 1) / max(num_warm, 1), shares)


def in_short(settings: TrialSettings, num_steps: int) -> Optional[Any]:
    """The rates of so few steps, (num_steps,), spread evenly over the whole training: to be verified by."""
    whole = rates(settings, num_steps)
    if whole is None:
        return None
    return whole[np.round(np.linspace(0, len(whole) - 1, num_steps)).astype(int)]
