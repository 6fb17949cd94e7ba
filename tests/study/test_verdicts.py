"""``[verdicts]``: margins, comparisons and budget; what of it is part of a study's identity."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from bakeoff import stats
from bakeoff.errors import StudyError
from bakeoff.study import FEWEST_BLOCKS, Errors, Rules, Study, builtin_names, comparisons, load

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]

RACE = """
[defaults]
epochs = 1

[matrix]
backend = ["tensorflow", "jax", "torch"]
dataset = ["mnist", "cifar10"]
"""
# Of the release before studies had rules: what was measured then stays where it is found.
DIGESTS_WITHOUT_RULES = {
    "paper": "f7a9cb4cf746d4e9dc675bdf5bd5c7d496ee575e9b2eb7de6a6ac6d32daefb7f",
    "quick": "7eab391f92be21083b9ff009a5d3343782d4b711cce9ccedacb452c6e6434361",  # with a new description
    "smoke": "b33374d60a3ad2ec3242ad0befe9d3b0aeb28a4b5d78c236a820fa6d1a5424ab",
}


def labels(study: Study) -> set[tuple[str, str]]:
    """The comparisons, by label."""
    branches = study.follow_up.branches if study.follow_up else ()
    trials = (*study.trials, *(trial for branch in branches for trial in branch.trials))
    called = {trial.trial_id: trial.label for trial in trials}
    return {(called[one], called[other]) for one, other in study.rules.comparisons}


def test_the_rules_are_those_of_the_statistics() -> None:
    ours = {
        field.name: field.default
        for field in dataclasses.fields(Rules)
        if field.name not in ("comparisons", "errors")
    }
    theirs = {field.name: field.default for field in dataclasses.fields(stats.Rules)}
    assert ours == theirs
    assert FEWEST_BLOCKS == stats.MIN_BLOCKS


@pytest.mark.parametrize("name", DIGESTS_WITHOUT_RULES)
def test_a_study_without_rules_is_the_study_that_it_was(name: str) -> None:
    assert load(name).digest == DIGESTS_WITHOUT_RULES[name]


def test_rules_at_their_defaults_make_no_other_study(load_text: Load) -> None:
    plain = load_text(RACE)
    spelled = load_text(RACE + '[verdicts]\nmargin = "2%"\nerror_margin = "0.25 pp"\nconfidence = 0.95')
    assert spelled == plain


@pytest.mark.parametrize(
    "change",
    [
        *("margin = 0.01", "error_margin = 0.001", "confidence = 0.99", "until_decided = true"),
        'compare = [["jax", "torch"]]',
    ],
)
def test_other_rules_make_another_study_of_the_same_runs(load_text: Load, change: str) -> None:
    plain, other = load_text(RACE), load_text(f"{RACE}[verdicts]\n{change}")
    assert other.digest != plain.digest
    assert other.trials == plain.trials and other.seed == plain.seed


def test_a_raised_budget_is_the_same_study(load_text: Load) -> None:
    short, long = (
        load_text(f"{RACE}[verdicts]\nuntil_decided = true\n{budget}")
        for budget in ("", "max_blocks = 90\nmax_hours = 2.5")
    )
    assert short.digest == long.digest
    assert (short.budget.max_blocks, short.budget.max_hours) == (50, None)
    assert (long.budget.max_blocks, long.budget.max_hours) == (90, 2.5)


def test_the_document_has_rules_and_comparisons(load_text: Load) -> None:
    study = load_text(RACE + "[verdicts]\nmargin = 0.03\nuntil_decided = true")
    rules = json.loads(json.dumps(study.document()))["rules"]
    pairs = rules.pop("comparisons")
    assert rules.pop("errors") == "certified"
    assert stats.Rules(**rules) == stats.Rules(margin=0.03, is_sequential=True)
    assert pairs == [list(pair) for pair in study.rules.comparisons]


def test_all_that_race_are_compared(load_text: Load) -> None:
    assert labels(load_text(RACE)) == {
        (f"{dataset} · {one}", f"{dataset} · {other}")
        for dataset in ("mnist", "cifar10")
        for one, other in (("tensorflow", "jax"), ("tensorflow", "torch"), ("jax", "torch"))
    }


def test_settings_of_one_backend_tell_races_apart(load_text: Load) -> None:
    study = load_text('[matrix]\nbackend = ["jax", "torch"]\nglobal_batch_size = [50, 200]')
    assert labels(study) == {("jax · batch 50", "torch · batch 50"), ("jax · batch 200", "torch · batch 200")}


def test_one_backend_under_several_settings_races_itself(load_text: Load) -> None:
    study = load_text('[matrix]\nbackend = ["jax"]\nglobal_batch_size = [50, 100, 200]')
    assert len(study.rules.comparisons) == 3


def test_a_cluster_races_no_single_machine_and_a_follow_up_has_races_of_its_own() -> None:
    assert labels(load("paper-distributed-today")) == {
        tuple(
            f"{dataset} · {backend} · {where}" for backend, where in (("tensorflow", one), ("theano", other))
        )
        for dataset in ("mnist", "fashion_mnist")
        for one, other in (
            ("5x4 · synchronous · rounds 50", "5x4 · synchronous · merge averaged · rounds 50"),
            ("4x5 · synchronous · rounds 50", "4x5 · synchronous · merge averaged · rounds 50"),
            ("one machine", "one machine"),
        )
    }


def test_comparisons_by_contestant_and_by_label(load_text: Load) -> None:
    text = RACE + '[verdicts]\ncompare = [["torch", "jax"], ["mnist · tensorflow", "mnist · jax"]]'
    assert labels(load_text(text)) == {
        ("mnist · jax", "mnist · torch"),
        ("cifar10 · jax", "cifar10 · torch"),
        ("mnist · tensorflow", "mnist · jax"),
    }


MIXED = """
[defaults]
epochs = 1

[matrix]
entrant = [{ backend = "tensorflow" }, { backend = "jax", jit = true }, { backend = "torch" }]
"""
WORK = """
[defaults]
backend = "jax"

[matrix]
data_scale = [1, 4]
threads = [1, 2]
"""


def test_what_may_not_be_compared_is_not_asked(load_text: Load) -> None:
    assert {tuple(one.split(" · ")[0] for one in pair) for pair in labels(load_text(MIXED))} == {
        ("tensorflow", "torch")
    }


def test_what_is_not_compared_is_said(load_text: Load) -> None:
    assert comparisons.not_compared(load_text(RACE).trials) == ()
    said = comparisons.not_compared(load_text(MIXED).trials)
    assert len(said) == 2 and said[0] == (
        "tensorflow · jit default and jax · jit on are not compared: mixed tracks: jax · jit on was set "
        "(compilation on), and tensorflow · jit default runs as its users get it"
    )
    *shown, rest = comparisons.not_compared(load_text(WORK).trials)
    assert len(shown) == 3 and rest == "1 more pair that races is not compared, for such reasons"


def test_how_cost_grows_is_not_asked(load_text: Load) -> None:
    pairs = load_text(WORK).rules.comparisons
    scale = {trial.trial_id: trial.settings.data_scale for trial in load_text(WORK).trials}
    assert len(pairs) == 2 and all(scale[one] == scale[other] for one, other in pairs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("margin = 2", "margin: expected less than 1; got `2`"),
        ('margin = "2 percent"', 'margin: expected a number; got `"2 percent"`'),
        ("error_margin = -0.1", "error_margin: expected at least 0; got `-0.1`"),
        ("confidence = 0.05", "confidence: expected more than 0.5; got `0.05`"),
        ("until_decided = 1", "until_decided: expected true or false; got `1`"),
        ("until_decided = true\nmax_hours = 0", "max_hours: expected more than 0; got `0`"),
        (
            "until_decided = true\nmax_blocks = 5",
            "max_blocks: expected at least 6, since nothing is decided before; got `5`",
        ),
        (
            "max_blocks = 20",
            "max_blocks: goes with a study that runs until decided: write `until_decided = true` "
            "(on the command line: --until-decided)",
        ),
        ("marginn = 0.1", "marginn: unknown key `marginn`; did you mean `margin`?"),
        ("compare = 3", "compare: expected a list; got `3`"),
        (
            'compare = [["jax", "jaxx"]]',
            "compare[0]: expected contestants of this study, `tensorflow`, `mnist · tensorflow`, "
            "`cifar10 · tensorflow`, `jax`, `mnist · jax`, `cifar10 · jax`, `torch`, `mnist · torch`, "
            "`cifar10 · torch`; got `jaxx`; did you mean `jax`?",
        ),
        ('compare = [["jax"]]', 'compare[0]: expected two different contestants; got `["jax"]`'),
        (
            'compare = [["mnist · jax", "cifar10 · torch"]]',
            "compare[0]: `mnist · jax`, `cifar10 · torch` never race: they differ in more than who trains",
        ),
    ],
)
def test_a_mistake(mistakes: Mistakes, text: str, message: str) -> None:
    found = mistakes(f"{RACE}[verdicts]\n{text}")
    assert found[0] == f"study.toml: $.verdicts.{message}" and len(found) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'{MIXED}[verdicts]\ncompare = [["jax", "torch"]]',
            "verdicts.compare[0]: `jax`, `torch` can't be compared: mixed tracks: jax · jit on was set "
            "(compilation on), and torch · jit default runs as its users get it",
        ),
        (
            f'{WORK}[verdicts]\ncompare = [["threads 1 · data scale 1", "threads 1 · data scale 4"]]',
            "verdicts.compare[0]: `threads 1 · data scale 1`, `threads 1 · data scale 4` can't be compared: "
            "different work: data scale 1 and 4, so that their times say how cost grows, and nobody is "
            "faster",
        ),
        (
            MIXED.replace(', { backend = "torch" }', "") + "[verdicts]\nuntil_decided = true",
            "verdicts.until_decided: nothing is there to decide: mixed tracks: jax · jit on was set "
            "(compilation on), and tensorflow · jit default runs as its users get it",
        ),
    ],
)
def test_what_is_asked_can_be_answered(mistakes: Mistakes, text: str, message: str) -> None:
    assert mistakes(text) == [f"study.toml: $.{message}"]


def test_a_study_of_one_trial_has_nothing_to_decide(mistakes: Mistakes) -> None:
    assert mistakes('[defaults]\nbackend = "jax"\n[verdicts]\nuntil_decided = true') == [
        "study.toml: $.verdicts.until_decided: nothing is there to decide: no two trials of this study race"
    ]


def test_overrides(load_text: Load) -> None:
    study = load_text(RACE, "verdicts.until_decided=true", "verdicts.margin=1%")
    assert (study.rules.is_sequential, study.rules.margin) == (True, 0.01)


@pytest.mark.parametrize("name", builtin_names())
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_builtin_study_can_be_shortened(name: str, epochs: int) -> None:
    trials = load(name, [f"epochs={epochs}"]).trials
    assert {trial.settings.epochs for trial in trials} == {epochs}


def test_rounds_follow_the_epochs(load_text: Load) -> None:
    text = (
        '[defaults]\nbackend = "tensorflow"\ndistribution = "elephas"\nepochs = 4\n'
        'distribution_options.mode = "synchronous"\ndistribution_options.rounds = "epochs"'
    )
    for study, rounds in ((load_text(text), 4), (load_text(text, "epochs=3"), 3)):
        assert study.trials[0].settings.distribution_options["rounds"] == rounds


def test_errors_are_answered_by_certificate_unless_they_are_to_be_measured() -> None:
    """A study that says nothing of it keeps the digest that it had before it could."""
    plain, measured = (load("quick", [f"verdicts.errors={one!r}"]) for one in ("certified", "measured"))
    assert (plain.rules.errors, measured.rules.errors) == (Errors.CERTIFIED, Errors.MEASURED)
    assert plain.digest == load("quick").digest != measured.digest
    before = "71192ed7a7ac30ca649d85022c1b11f69c03241f5ad13935c034294d56a16ee5"
    assert load("smoke", ["verdicts.margin=0.05"]).digest == before
    with pytest.raises(StudyError, match=r"verdicts\.errors"):
        load("quick", ["verdicts.errors='guessed'"])
