"""The fake launcher gives what the real one would."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from bakeoff.launchers import fake, local
from bakeoff_worker.records import kind_of


def test_same_records_in_the_same_order_as_a_real_run(make_launch: Callable[..., Any]) -> None:
    request = make_launch()
    real = [kind_of(record) for record in local.launch(request) if getattr(record, "name", "") != "end"]
    assert [kind_of(record) for record in fake.launch(request)] == real


def test_times_depend_on_trial_and_seed_alone(make_launch: Callable[..., Any]) -> None:
    request = make_launch()
    again = make_launch()
    assert list(fake.launch(request)) == list(fake.launch(again))
    spec = dataclasses.replace(again.job.spec, seed=2)
    other = dataclasses.replace(again, job=dataclasses.replace(again.job, spec=spec))
    assert list(fake.launch(other)) != list(fake.launch(request))


def test_as_many_images_are_wrong_as_the_error_says(make_launch: Callable[..., Any]) -> None:
    *_, last, _, _, outcomes, _, _ = fake.launch(make_launch())
    bits = np.unpackbits(np.frombuffer(base64.b64decode(outcomes.wrong), "uint8"))
    assert (
        bits.sum() == bits[: outcomes.num_images].sum() == round(last.validation_error * outcomes.num_images)
    )
    assert outcomes.epoch == last.epoch
