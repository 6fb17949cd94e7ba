"""``make bench-recipes``: whether a recipe means the same on every backend, and is what its formula says.

Each recipe that a study's keys can say, on a small smooth network and MNIST, in single precision: every
contestant computes ten steps, as ``bakeoff verify`` has it. Shown are the worst relative differences of the
weights after them, from the reference and between backends, whatever is found, and the learning rate that
the optimizer used at each step against the formula, written out here once more. Who can't do a recipe is
skipped, and its reason shown. Nothing is timed.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff import datasets, environments
from bakeoff.environments import Environment
from bakeoff.errors import EnvironmentFailure
from bakeoff.launchers import local
from bakeoff.verification import compare
from bakeoff.verification.collection import Collected, Needs, collect
from bakeoff.verification.contestants import Contestant, groups
from bakeoff_worker import backends
from bakeoff_worker.job import TrialSettings
from benchmarks.goals import Figure, conclude

MAX_WEIGHTS = 1e-4
MAX_RATE = 1e-4  # read off changes of weights in single precision; a step early or late is 1e-2 off
SEED = 1
CONTESTANTS = {
    "tensorflow": ("tensorflow", "tensorflow"),
    "jax": ("jax", "jax"),
    "torch": ("torch", "torch"),
    "theano": ("theano", "theano"),
    "tensorflow1": ("tensorflow1", "vintage"),
}
EPOCHS = 10
SGD: Mapping[str, Any] = {"optimizer": "sgd", "learning_rate": 0.05}
# Smooth everywhere: where a pooling window or a relu decides, rounding may tip the decision, and two
# contestants with the same recipe train apart. `bench-certificates` looks at those.
NETWORK = """
def build(input_shape, num_classes):
    from keras import layers, models

    inputs = x = layers.Input(shape=input_shape)
    x = layers.Conv2D(8, (5, 5), activation="tanh")(x)
    x = layers.AveragePooling2D((4, 4))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(32, activation="tanh")(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
"""
OWN = (
    NETWORK
    + """

def compile(model):
    from keras import losses, optimizers

    optimizer = optimizers.SGD(learning_rate=0.05, momentum=0.9, nesterov=True, clipvalue=0.5)
    model.compile(optimizer=optimizer, loss=losses.CategoricalCrossentropy(label_smoothing=0.1))
"""
)
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "adam": {},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.05},
    "adam, weight decay": {"weight_decay": 0.05},
    "sgd, momentum": {**SGD, "optimizer_options": {"momentum": 0.9, "nesterov": False}},
    "sgd, Nesterov": {**SGD, "optimizer_options": {"momentum": 0.9, "nesterov": True}},
    "sgd, weight decay": {**SGD, "weight_decay": 0.01},
    "rmsprop": {"optimizer": "rmsprop"},
    "clipped by value": {**SGD, "clip_value": 0.01},
    "clipped by norm": {**SGD, "clip_norm": 0.05},
    "clipped by global norm": {**SGD, "clip_global_norm": 0.1},
    "label smoothing": {"label_smoothing": 0.1},
    "class weights": {"class_weights": [0.5, 1.0, 1.5, 2.0, 0.25, 1.0, 1.0, 3.0, 1.0, 1.0]},
    "class weights, sparse": {"class_weights": "balanced", "loss": "sparse_categorical_crossentropy"},
    "step": {**SGD, "schedule": "step", "schedule_options": {"at_epochs": [4, 7], "factor": 0.1}},
    "cosine": {**SGD, "schedule": "cosine", "schedule_options": {"final_share": 0.01, "warm_up_epochs": 3}},
    "exponential": {**SGD, "schedule": "exponential", "schedule_options": {"factor": 0.8}},
    "warm-up": {**SGD, "schedule": "warm_up", "schedule_options": {"warm_up_epochs": 5}},
    "own": {"optimizer": "own", "loss": "own"},
    "all at once": {
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "clip_global_norm": 1.0,
        "label_smoothing": 0.1,
        "schedule": "cosine",
        "schedule_options": {"final_share": 0.0, "warm_up_epochs": 2},
        "class_weights": "balanced",
    },
}
# Verification takes ten rates from a training of as many epochs, ten steps each: at these steps of a hundred.
TAKEN = tuple(11 * place for place in range(10))
RATES: Mapping[str, Callable[[int], float]] = {
    "step": lambda t: 0.05 * 0.1 ** ((t >= 40) + (t >= 70)),
    "cosine": lambda t: (
        0.05 * (t + 1) / 30 if t < 30 else 0.05 * (0.01 + 0.99 * (1 + math.cos(math.pi * (t - 30) / 70)) / 2)
    ),
    "exponential": lambda t: 0.05 * 0.8 ** (t / 10),
    "warm-up": lambda t: 0.05 * min((t + 1) / 50, 1),
}


def main() -> int:
    """All figures; 0 if every goal was met."""
    arguments = _arguments()
    made = _environments(arguments.contestants)
    apart, from_reference, unexplained, rates, missing = [], [], 0, [], 0
    with (
        tempfile.TemporaryDirectory(prefix="bench-recipes-") as name,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        files = {kind: Path(name) / f"{kind}.py" for kind in ("network", "own")}
        files["network"].write_text(NETWORK)
        files["own"].write_text(OWN)
        for recipe in arguments.recipes:
            folder = Path(name) / recipe.replace(" ", "-")
            folder.mkdir()
            trials = [
                (contestant, _settings(contestant, recipe, files)) for contestant in arguments.contestants
            ]
            (group,) = groups(trials)

            def collected(contestant: Contestant, folder: Path = folder) -> Collected:
                return _collected(contestant, made[contestant.label], folder)

            print(f"\n{recipe}")
            shown = [one for one in pool.map(collected, group.contestants) if _took_part(one)]
            missing += sum(one.evidence is None for one in shown)
            if recipe in RATES:
                rates += [_rates_apart(one, RATES[recipe]) for one in shown if one.evidence]
            verified = compare(group.title, shown)
            for contestant in verified.contestants:
                if contestant.judgement is None:
                    continue
                worst = contestant.judgement.worst.get("weights")
                from_reference += [(worst.difference, contestant.label)] if worst else []
                print(
                    f"  {contestant.label:12} weights off the reference by "
                    f"{worst.difference if worst else math.nan:.1e}, decisions within rounding: "
                    f"{contestant.judgement.num_tipped}"
                )
                for finding in contestant.judgement.findings:
                    print(f"  {'':12} {finding.sentence()}")
                unexplained += not contestant.judgement.is_explained
            print(f"  alike: {'; '.join(', '.join(labels) for labels in verified.alike)}")
            same = [
                certificate
                for certificate in verified.certificates
                if certificate.verdict == "same" and certificate.direct
            ]
            found = [
                (one.direct["weights"].difference, f"{one.one}, {one.other}, {recipe}")
                for one in same
                if one.direct
            ]
            apart += [max(found)] if found else []
            sys.stdout.flush()
            for each in shown:
                if each.evidence:
                    each.evidence.close()
    worst_pair, farthest = max(apart), max(from_reference)
    figures = [
        Figure(
            f"worst weights after 10 steps between backends {worst_pair[0]:.1e} ({worst_pair[1]})",
            f"≤ {MAX_WEIGHTS:g}",
            worst_pair[0] <= MAX_WEIGHTS,
        ),
        Figure(
            f"from the reference {farthest[0]:.1e} ({farthest[1]})",
            f"≤ {MAX_WEIGHTS:g}",
            farthest[0] <= MAX_WEIGHTS,
        ),
        Figure(f"unexplained {unexplained}", "0", unexplained == 0),
        Figure(f"not verified {missing}", "0", missing == 0),
    ]
    if rates:
        text = f"learning rate off its formula by at most {max(rates):.1e} in {len(rates)} × 10 steps"
        figures.insert(1, Figure(text, f"≤ {MAX_RATE:g}", max(rates) <= MAX_RATE))
    return conclude("recipes", figures)


def _settings(name: str, recipe: str, files: Mapping[str, Path]) -> TrialSettings:
    backend, environment = CONTESTANTS[name]
    kind = "own" if recipe == "own" else "network"
    keys: dict[str, Any] = dict(
        RECIPES[recipe], epochs=EPOCHS, model=str(files[kind]), content={"model": kind}
    )
    return TrialSettings(backend, environment, **keys)


def _collected(contestant: Contestant, made: Environment | EnvironmentFailure, folder: Path) -> Collected:
    if isinstance(made, EnvironmentFailure):
        return Collected(contestant, "", None, made.message)
    needs = Needs(made, datasets.ensure(contestant.settings.dataset).path, Path(contestant.settings.model))
    return collect(contestant, needs, seed=SEED, folder=folder, launcher=local.launch)


def _took_part(one: Collected) -> bool:
    """False, and said, for a contestant that can't do the recipe: it is skipped, as in any study."""
    reason = backends.skip_reason(one.contestant.settings)
    if one.evidence is None:
        print(
            f"  {one.contestant.label:12} {'skipped' if reason else 'NOT VERIFIED'}: {reason or one.reason}"
        )
    return reason is None


def _rates_apart(one: Collected, formula: Callable[[int], float]) -> float:
    """How far the rates are off, relative, that gradient descent used: its changes over the gradients."""
    assert one.evidence is not None
    gradients, weights = one.evidence.probe()
    changes = np.diff(weights.astype("float64"), axis=0)
    given = gradients.astype("float64")
    used = -(changes * given).sum(axis=1) / (given**2).sum(axis=1)  # in the sense of least squares
    expected = np.array([formula(step) for step in TAKEN])
    return float(np.abs(used / expected - 1).max())


def _environments(names: Sequence[str]) -> dict[str, Environment | EnvironmentFailure]:
    found: dict[str, Environment | EnvironmentFailure] = {}
    for name in names:
        backend, environment = CONTESTANTS[name]
        try:
            found[name] = environments.ensure(environment, backend=backend)
        except EnvironmentFailure as failure:
            found[name] = failure
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-recipes", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--recipes", nargs="+", choices=tuple(RECIPES), default=list(RECIPES))
    parser.add_argument("--contestants", nargs="+", choices=tuple(CONTESTANTS), default=list(CONTESTANTS))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
