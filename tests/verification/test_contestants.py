"""Who is compared with whom, and what is verified once for several trials."""

from __future__ import annotations

from bakeoff.verification.contestants import groups
from bakeoff_worker.job import TrialSettings


def trial(backend="jax", **settings):
    return TrialSettings(backend, settings.pop("environment", backend), **settings)


def test_trials_that_differ_in_how_long_they_train_are_one_contestant():
    trials = [
        ("short", trial(epochs=1, global_batch_size=50)),
        ("long", trial(epochs=50, global_batch_size=200, threads=2, train_images=500)),
        ("spread", trial(distribution="elephas", distribution_options={"layout": "5x4"}, data_scale=4)),
        ("other", trial("torch")),
    ]
    (group,) = groups(trials)
    assert [one.label for one in group.contestants] == ["short", "other"]
    first = group.contestants[0]
    assert first.trial_ids == tuple(settings.trial_id for _, settings in trials[:3])
    assert first.settings.distribution == "single" and first.settings.global_batch_size == 8
    assert len({settings.verified_id for _, settings in trials[:3]}) == 1
    assert trials[3][1].verified_id != first.verified_id


def test_another_network_data_set_or_recipe_is_another_group():
    plain = trial()
    others = [
        trial(model="lenet5"),
        trial(model_options={"dropout": 0.5}),
        trial(dataset="fashion_mnist"),
        trial(optimizer="sgd"),
        trial(learning_rate=0.01),
        trial(loss="mean_squared_error"),
        trial(preprocessing="standardize"),
        trial(model="/some/net.py", content={"model": "1"}),
        trial(model="/some/net.py", content={"model": "2"}),
    ]
    found = groups((f"{index}", settings) for index, settings in enumerate([plain, *others]))
    assert len(found) == 1 + len(others)
    assert found[0].title == "study_cnn on mnist, adam at 0.001, categorical_crossentropy"
    assert found[-1].title.startswith("net.py on mnist")


def test_ways_to_compute_the_same_are_contestants_of_one_group():
    (group,) = groups(
        (f"{index}", settings)
        for index, settings in enumerate(
            [
                trial(),
                trial(jit=False),
                trial(data_layout="channels_first"),
                trial(precision="float64"),
                trial("theano", environment="vintage"),
                trial("theano"),
            ]
        )
    )
    assert len(group.contestants) == 6


def test_a_batch_smaller_than_ours_is_kept():
    (group,) = groups([("small", trial(global_batch_size=4))])
    assert group.contestants[0].settings.global_batch_size == 4
