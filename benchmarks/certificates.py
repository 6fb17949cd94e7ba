"""``make bench-certificates``: how far the backends are from the reference, and from each other.

Every built-in network on its data set, and small ones of the kinds that people publish (``networks/``: layers
within layers, recurrent ones, augmentation, layers of one's own), the study's optimizer, in single precision:
the worst relative difference of any layer's output, of any gradient and of any weight after ten steps, per
tensor and by norm; and whatever ``bakeoff verify`` finds. A contestant that differs for a reason that was
proven counts as explained. Of the published kinds the three frameworks of today must be certified, and
nothing be found where nothing is. Nothing is timed, so contestants compute side by side, one a core, the
deepest network first.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bakeoff import datasets, environments
from bakeoff.environments import Environment
from bakeoff.errors import EnvironmentFailure
from bakeoff.launchers import local
from bakeoff.verification import Agreement, Verified, compare
from bakeoff.verification.collection import Collected, Needs, collect
from bakeoff.verification.contestants import Contestant, Group, groups
from bakeoff_worker.job import TrialSettings
from benchmarks.goals import Figure, conclude

MAX_FORWARD = 1e-5
MAX_WEIGHTS = 1e-4

CONTESTANTS = {
    "tensorflow": ("tensorflow", "tensorflow"),
    "jax": ("jax", "jax"),
    "torch": ("torch", "torch"),
    "theano": ("theano", "theano"),
    "theano (vintage)": ("theano", "vintage"),
    "tensorflow1": ("tensorflow1", "vintage"),
}
DATA = {  # the deepest first, and so that which takes longest
    "resnet20": "cifar10",
    "keras_cifar10_convnet": "cifar10",
    "keras_mnist_convnet": "mnist",
    "study_cnn": "mnist",
    "lenet5": "mnist",
}
NETWORKS = Path(__file__).with_name("networks")
PUBLISHED = tuple(sorted(file.stem for file in NETWORKS.glob("*.py") if file.stem != "__init__"))
TODAY = ("tensorflow", "jax", "torch")  # what the published kinds are held to
THEANO_TOO = ("dense", "residual", "separable")  # of those, what Keras 2 can build as it stands
KINDS = {
    "layers": "of a layer on its own inputs",
    "forward": "forward",
    "gradients": "gradients",
    "weights": "weights after 10 steps",
}
SEED = 1


def main() -> int:
    """All figures; 0 if every goal was met."""
    arguments = _arguments()
    began = time.perf_counter()
    found = [(model, _group(model, arguments.contestants, arguments.precision)) for model in arguments.models]
    made = _environments(arguments.contestants)
    verified = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-certificates-") as name,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        jobs: dict[str, Future[Collected]] = {}
        for model, group in found:
            folder = Path(name) / model
            folder.mkdir()
            for contestant in sorted(group.contestants, key=_compiles_last):
                jobs[contestant.verified_id] = pool.submit(
                    _collected, contestant, made[contestant.label], folder
                )
        for model, group in found:
            judged = _compared(
                group, [jobs[contestant.verified_id].result() for contestant in group.contestants]
            )
            verified.append(judged)
            _show(model, judged, time.perf_counter() - began)
    built_in = [one for (model, _), one in zip(found, verified, strict=True) if model in DATA]
    published = [one for (model, _), one in zip(found, verified, strict=True) if model in PUBLISHED]
    return conclude("certificates", [*_figures(built_in), *_figures_of_published(published)])


def _compiles_last(contestant: Contestant) -> bool:
    """False for Theano, which compiles for minutes and so goes first."""
    return contestant.settings.backend != "theano"


def _collected(contestant: Contestant, made: Environment | EnvironmentFailure, folder: Path) -> Collected:
    if isinstance(made, EnvironmentFailure):
        return Collected(contestant, "", None, made.message)
    model = Path(contestant.settings.model)
    needs = Needs(made, datasets.ensure(contestant.settings.dataset).path, model if model.suffix else None)
    return collect(contestant, needs, seed=SEED, folder=folder, launcher=local.launch)


def _compared(group: Group, shown: Sequence[Collected]) -> Verified:
    try:
        return compare(group.title, shown)
    finally:
        for one in shown:
            if one.evidence:
                one.evidence.close()


def _group(model: str, names: list[str], precision: str) -> Group:
    trials = []
    for name in names:
        backend, environment = CONTESTANTS[name]
        if model in DATA:
            settings = TrialSettings(
                backend, environment, model=model, dataset=DATA[model], precision=precision
            )
        elif name in TODAY or (name == "theano" and model in THEANO_TOO):
            file = str(NETWORKS / f"{model}.py")
            settings = TrialSettings(
                backend, environment, model=file, precision=precision, content={"model": model}
            )
        else:
            continue
        trials.append((name, settings))
    (group,) = groups(trials)
    return group


def _environments(names: list[str]) -> dict[str, Environment | EnvironmentFailure]:
    """Where each contestant runs; one that can't be had here is said to be missing."""
    found: dict[str, Environment | EnvironmentFailure] = {}
    for name in names:
        backend, environment = CONTESTANTS[name]
        try:
            found[name] = environments.ensure(environment, backend=backend)
        except EnvironmentFailure as failure:
            found[name] = failure
    return found


def _show(model: str, verified: Verified, took_s: float) -> None:
    print(f"\n{model} on {DATA.get(model, 'mnist')} (after {took_s:.0f} s)")
    for contestant in verified.contestants:
        judgement = contestant.judgement
        if judgement is None:
            print(f"  {contestant.label:17} not verified: {contestant.reason}")
            continue
        worst = judgement.worst
        figures = ", ".join(
            f"{name} {worst[kind].difference:.1e} ({worst[kind].where})"
            for kind, name in KINDS.items()
            if kind in worst
        )
        print(f"  {contestant.label:17} {figures}; decisions within rounding: {judgement.num_tipped}")
        if judgement.not_examined:
            print(f"  {'':17} not looked into: {', '.join(judgement.not_examined)}")
        for finding in judgement.findings:
            print(f"  {'':17} {finding.sentence()}")
    for labels in verified.alike:
        print(f"  {'alike:' if len(labels) > 1 else 'alone:':17} {', '.join(labels)}")
    apart = [certificate for certificate in verified.certificates if certificate.direct]
    for kind, name in list(KINDS.items())[1:]:
        pairs = [(one, one.direct[kind]) for one in apart if one.direct and kind in one.direct]
        if pairs:
            worst_pair, found = max(pairs, key=lambda each: each[1].difference)
            print(
                f"  furthest apart in {name}: {worst_pair.one} and {worst_pair.other}, "
                f"{found.difference:.1e} ({found.where})"
            )
    sys.stdout.flush()


def _figures_of_published(verified: list[Verified]) -> list[Figure]:
    """Of the frameworks of today: the networks they are certified on, and what they are blamed for."""
    if not verified:
        return []
    certified = blamed = 0
    for group in verified:
        today = [
            certificate
            for certificate in group.certificates
            if certificate.one in TODAY and certificate.other in TODAY
        ]
        certified += bool(today) and all(one.verdict is Agreement.SAME for one in today)
        blamed += sum(
            len(contestant.judgement.findings)
            for contestant in group.contestants
            if contestant.label in TODAY and contestant.judgement
        )
    of = f"{certified} of {len(verified)} published kinds certified"
    return [
        Figure(of, "all", certified == len(verified)),
        Figure(f"differences found where there are none {blamed}", "0", blamed == 0),
    ]


def _figures(verified: list[Verified]) -> list[Figure]:
    if not verified:
        return []
    judgements = [
        (f"{contestant.label} on {group.title.partition(' ')[0]}", contestant.judgement)
        for group in verified
        for contestant in group.contestants
        if contestant.judgement is not None
    ]
    figures = []
    for kind, goal in (
        ("layers", None), ("forward", MAX_FORWARD), ("gradients", None), ("weights", MAX_WEIGHTS)
    ):  # fmt: skip
        found = [
            (judgement.worst[kind].difference, who)
            for who, judgement in judgements
            if kind in judgement.worst
        ]
        worst, who = max(found)
        text = f"worst {KINDS[kind]} {worst:.1e} ({who})"
        figures.append(Figure(text, f"≤ {goal:g}", worst <= goal) if goal else Figure(text))
    num_unexplained = sum(not judgement.is_explained for _, judgement in judgements)
    num_certified = sum(not judgement.findings for _, judgement in judgements)
    missing = sum(contestant.judgement is None for group in verified for contestant in group.contestants)
    figures.append(Figure(f"{num_certified} of {len(judgements)} contestants without a difference"))
    figures.append(Figure(f"unexplained differences {num_unexplained}", "0", num_unexplained == 0))
    figures.append(Figure(f"not verified {missing}", "0", missing == 0))
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench-certificates", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--models", nargs="+", choices=(*DATA, *PUBLISHED), default=[*DATA, *PUBLISHED])
    parser.add_argument("--contestants", nargs="+", choices=tuple(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--precision", choices=("float32", "float64"), default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
