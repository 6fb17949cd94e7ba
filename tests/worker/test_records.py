"""The wire format: everything survives, nothing else is taken."""

import json
import math
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff_worker import records
from bakeoff_worker.job import Job, RunPaths, RunSpec, TrialSettings, job_from_json, job_to_json
from bakeoff_worker.records import EpochRecord, RunEnded, from_line, kind_of, to_line

texts = st.text()
numbers = st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers(min_value=0, max_value=2**53)
plain = st.recursive(
    st.none() | st.booleans() | counts | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(texts, plain, max_size=4)
FORMS = {
    int: counts,
    float: numbers,
    str: texts,
    bool: st.booleans(),
    typing.Optional[int]: st.none() | counts,  # noqa: UP045 - as the worker spells it
    typing.Optional[float]: st.none() | numbers,  # noqa: UP045
    typing.Optional[str]: st.none() | texts,  # noqa: UP045
    typing.Optional[bool]: st.none() | st.booleans(),  # noqa: UP045
    typing.Mapping[str, typing.Any]: mappings,
    typing.Mapping[str, str]: st.dictionaries(texts, texts, max_size=3),
    typing.Optional[typing.Mapping[str, str]]: st.none()  # noqa: UP045
    | st.dictionaries(texts, texts, max_size=3),
    typing.List[str]: st.lists(texts, max_size=3),  # noqa: UP006 - as the worker spells it
    typing.List[typing.Any]: st.lists(plain, max_size=3),  # noqa: UP006
    typing.List[int]: st.lists(counts, max_size=3),  # noqa: UP006
    typing.List[typing.List[int]]: st.lists(st.lists(counts, max_size=3), max_size=3),  # noqa: UP006
    typing.get_type_hints(TrialSettings)["class_weights"]: st.none() | texts | st.lists(st.floats(0, 1e9)),
}


def instances(cls):
    forms = {name: FORMS[form] for name, form in typing.get_type_hints(cls).items()}
    return st.builds(cls, **forms)


any_record = st.one_of([instances(cls) for cls in records.KINDS.values()])


def same(one, other):
    """Equal, NaN included."""
    return type(one) is type(other) and repr(one) == repr(other)


@given(any_record)
def test_every_record_survives_its_line(record):
    line = to_line(record)
    assert "\n" not in line
    assert json.loads(line)["kind"] == kind_of(record)
    assert same(from_line(line), record)


@given(any_record)
def test_lines_are_json_that_any_reader_takes(record):
    json.loads(to_line(record), parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


@given(instances(TrialSettings), instances(RunPaths), texts, counts)
def test_jobs_survive_their_file(settings, paths, label, seed):
    given = (
        settings.time_limit_s or 0.0,
        settings.learning_rate,
        settings.validation_fraction,
        settings.handicap,
        settings.weight_decay,
        settings.label_smoothing,
        *(settings.clip_value or 0.0, settings.clip_norm or 0.0, settings.clip_global_norm or 0.0),
    )
    if not all(map(math.isfinite, given)):
        return
    job = Job(RunSpec(settings, label, 1, 2, 3, seed), paths)
    assert job_from_json(job_to_json(job)) == job


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_loss_arrives(value):
    sent = EpochRecord(1, 2, 0.1, 0.1, value, 0.5, value, 0.5, None, None, None)
    received = from_line(to_line(sent))
    assert repr(received.train_loss) == repr(value)
    assert received.user_s is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "this is no record",
        "42",
        "[]",
        "null",
        "{}",
        '{"kind": "surprise"}',
        '{"kind": "run_ended"}',
        '{"kind": "run_ended", "status": "ok", "extra": 1}',
        '{"kind": ["run_ended"], "status": "ok"}',
        '{"kind": "run_ended", "status": "ok"',
    ],
)
def test_garbage_is_refused_and_quoted(line):
    with pytest.raises(ValueError, match="not a record") as caught:
        from_line(line)
    assert repr(line[:200]) in str(caught.value)


@given(st.text())
def test_no_line_whatever_breaks_the_reader(line):
    try:
        record = from_line(line)
    except ValueError:
        return
    assert type(record) in records.KINDS.values()


def test_the_time_limit_is_no_part_of_a_trial():
    base = TrialSettings(backend="jax", environment="jax")
    limited = TrialSettings(backend="jax", environment="jax", time_limit_s=5)
    other = TrialSettings(backend="jax", environment="jax", epochs=11)
    assert base.trial_id == limited.trial_id != other.trial_id
    assert len(base.trial_id) == 16


def test_statuses_name_every_end():
    assert RunEnded("ok").status in records.STATUSES
