"""Arrays of a run: who sees which images, in which order, scaled how."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bakeoff_worker
from bakeoff_worker import data
from bakeoff_worker.job import TrialSettings

WORKER_ROOT = Path(bakeoff_worker.__file__).parents[1]


def settings(**options):
    return TrialSettings(backend="fake", environment="fake", **options)


@pytest.fixture
def folder(tmp_path):
    """500 + 200 images of 4 x 3 x 2 whose first pixels spell the image's number."""
    for name, count, start in (("train", 500, 0), ("test", 200, 500)):
        x = np.full((count, 4, 3, 2), 7, "uint8")
        numbers = np.arange(start, start + count)
        x[:, 0, 0, 0], x[:, 0, 0, 1] = numbers // 256, numbers % 256
        x[:, 1, 1, 1] = numbers % 97
        np.save(tmp_path / f"x_{name}.npy", x)
        np.save(tmp_path / f"y_{name}.npy", (numbers % 5).astype("uint8"))
    (tmp_path / "about.json").write_text(json.dumps({"num_classes": 5}))
    return str(tmp_path)


def numbers_of(x):
    return (x[:, 0, 0, 0] * 256 + x[:, 0, 0, 1]).astype(int)


def load(folder, seed=1, **options):
    return data.load(folder, settings(preprocessing="none", **options), seed)


def test_test_split_is_the_whole_test_set_in_its_order(folder):
    arrays = load(folder)
    assert sorted(numbers_of(arrays.x_train)) == list(range(500))
    assert list(numbers_of(arrays.x_evaluation)) == list(range(500, 700))


def test_validation_split_is_held_out_of_the_training_set(folder):
    arrays = load(folder, evaluation_split="validation", validation_fraction=0.2)
    train, held_out = set(numbers_of(arrays.x_train)), set(numbers_of(arrays.x_evaluation))
    assert (len(train), len(held_out)) == (400, 100)
    assert train | held_out == set(range(500))


def test_subsets_have_the_sizes_asked_for(folder):
    arrays = load(folder, evaluation_split="validation", train_images=120, evaluation_images=30)
    assert (len(arrays.x_train), len(arrays.x_evaluation)) == (120, 30)
    assert len(set(numbers_of(arrays.x_train)) | set(numbers_of(arrays.x_evaluation))) == 150


@pytest.fixture
def sorted_folder(tmp_path):
    """As image folders are read: test images sorted by class, 100 of class 0, 60 of 1 and 40 of 2."""
    for name, counts in (("train", (50, 30, 20)), ("test", (100, 60, 40))):
        labels = np.repeat(np.arange(3), counts)
        x = np.zeros((len(labels), 2, 2, 2), "uint8")
        x[:, 0, 0, 1] = np.arange(len(labels))
        np.save(tmp_path / f"x_{name}.npy", x)
        np.save(tmp_path / f"y_{name}.npy", labels.astype("uint8"))
    (tmp_path / "about.json").write_text(json.dumps({"num_classes": 3}))
    return str(tmp_path)


def test_evaluation_images_are_a_random_subset_with_each_class_by_its_share(sorted_folder):
    arrays = load(sorted_folder, evaluation_images=20)
    classes = arrays.y_evaluation.argmax(axis=1)
    assert np.bincount(classes).tolist() == [10, 6, 4]
    numbers = numbers_of(arrays.x_evaluation)
    assert (np.diff(numbers) > 0).all(), "the data set's order is kept"
    assert classes.tolist() == np.repeat(range(3), (100, 60, 40))[numbers].tolist()
    assert not set(numbers) <= {*range(10), *range(100, 106), *range(160, 164)}, "not each class's first"
    # Whoever always names the most frequent class is wrong as often on the subset as on all images.
    assert (classes != 0).mean() == (load(sorted_folder).y_evaluation.argmax(axis=1) != 0).mean() == 0.5


def test_every_contestant_and_every_repeat_is_judged_on_the_same_test_images(sorted_folder):
    first = load(sorted_folder, seed=1, evaluation_images=50)
    others = [
        load(sorted_folder, seed=2, evaluation_images=50),
        load(sorted_folder, seed=1, evaluation_images=50, train_images=40, epochs=3),
    ]
    digest = first.evaluation.facts()["evaluation_sha256"]
    for other in others:
        assert (numbers_of(other.x_evaluation) == numbers_of(first.x_evaluation)).all()
        assert other.evaluation.facts()["evaluation_sha256"] == digest
    for other in (load(sorted_folder, evaluation_images=51), load(sorted_folder)):
        assert other.evaluation.facts()["evaluation_sha256"] != digest


def test_of_a_split_drawn_anew_the_subset_is_one_of_its_own_and_keeps_the_classes(sorted_folder):
    asked = {"evaluation_split": "validation", "validation_fraction": 0.4, "evaluation_images": 20}
    whole = {**asked, "evaluation_images": None}
    digests = set()
    for seed in range(4):
        drawn, held_out = load(sorted_folder, seed, **asked), load(sorted_folder, seed, **whole)
        assert set(numbers_of(drawn.x_evaluation)) < set(numbers_of(held_out.x_evaluation))
        shares = [np.bincount(one.y_evaluation.argmax(axis=1), minlength=3) for one in (drawn, held_out)]
        assert np.abs(shares[0] - shares[1] / 2).max() <= 0.5, "half of 40 held out images, class by class"
        facts = drawn.evaluation.facts()
        assert facts["num_evaluation_pool"] == 100
        digests.add(facts["evaluation_sha256"])
    assert len(digests) == 4


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    share=st.floats(0, 1),
    mixed=st.randoms(use_true_random=False),
)
def test_each_class_has_its_share_of_a_subset_up_to_one_image(counts, share, mixed):
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    mixed.shuffle(labels)
    num = max(1, round(share * len(labels)))
    drawn = data.stratified(np.array(labels, "uint8"), num)
    assert len(set(drawn.tolist())) == num and (np.diff(drawn) > 0).all()
    found = np.bincount(np.array(labels)[drawn], minlength=len(counts))
    assert (np.abs(found - num * np.array(counts) / len(labels)) < 1).all()
    if num == len(labels):
        assert drawn.tolist() == list(range(num))


def test_where_a_subset_has_fewer_images_than_there_are_classes_no_class_comes_first():
    drawn = data.stratified(np.arange(1000), 100)
    assert 200 < np.median(drawn) < 800


def test_what_an_error_is_worth_that_knows_nothing_is_reported(sorted_folder):
    facts = load(sorted_folder).evaluation.facts()
    assert facts["chance_error"] == pytest.approx(0.5)
    assert facts["chance_loss"] == pytest.approx(-sum(p * np.log(p) for p in (0.5, 0.3, 0.2)))
    one_class = data.Evaluation("test", np.arange(3), np.zeros(3, "uint8"), 3).facts()
    assert (one_class["chance_error"], one_class["chance_loss"]) == (0.0, 0.0)


def test_a_larger_training_subset_contains_the_smaller_one(folder):
    few, many = (set(numbers_of(load(folder, train_images=count).x_train)) for count in (50, 200))
    assert few < many


def test_labels_stay_with_their_images(folder):
    arrays = load(folder, evaluation_split="validation")
    for x, y in ((arrays.x_train, arrays.y_train), (arrays.x_evaluation, arrays.y_evaluation)):
        np.testing.assert_array_equal(y.argmax(axis=1), numbers_of(x) % 5)


def test_another_seed_splits_otherwise(folder):
    one, other = (
        set(numbers_of(load(folder, seed=seed, evaluation_split="validation").x_evaluation))
        for seed in (1, 2)
    )
    assert one != other


@pytest.fixture
def tripled(folder):
    """The 500 training images three times; the first channel's pixel 2, 2 tells the copy."""
    path = Path(folder)
    x, y = np.load(path / "x_train.npy"), np.load(path / "y_train.npy")
    x = np.concatenate([x] * 3)
    x[:, 2, 2, 0] = np.repeat([0, 1, 2], 500)
    np.save(path / "x_train.npy", x)
    np.save(path / "y_train.npy", np.tile(y, 3))
    return folder


def test_each_copy_of_a_scaled_set_is_trained_on_in_a_mixed_order(tripled):
    arrays = load(tripled, data_scale=3)
    seen = list(zip(numbers_of(arrays.x_train), arrays.x_train[:, 2, 2, 0], strict=True))
    assert sorted(seen) == [(number, copy) for number in range(500) for copy in range(3)]
    copies_in_each_third = arrays.x_train[:, 2, 2, 0].reshape(3, 500).mean(axis=1)
    np.testing.assert_allclose(copies_in_each_third, 1, atol=0.2)
    np.testing.assert_array_equal(arrays.y_train.argmax(axis=1), numbers_of(arrays.x_train) % 5)


def test_no_copy_of_a_held_out_image_is_trained_on(tripled):
    arrays = load(tripled, data_scale=3, evaluation_split="validation", validation_fraction=0.2)
    trained, held_out = numbers_of(arrays.x_train), numbers_of(arrays.x_evaluation)
    assert (len(trained), len(held_out)) == (1200, 100)
    assert not set(trained) & set(held_out)
    assert not arrays.x_evaluation[:, 2, 2, 0].any(), "copy 0 alone is the original"


def test_a_subset_of_a_scaled_set_has_the_same_originals_as_at_scale_one(folder, tripled):
    scaled = load(tripled, data_scale=3, train_images=300)
    for name in ("x_train", "y_train"):
        np.save(Path(folder, name + ".npy"), np.load(Path(folder, name + ".npy"))[:500])
    plain = load(folder, train_images=100)
    assert set(numbers_of(scaled.x_train)) == set(numbers_of(plain.x_train))
    assert len(set(zip(numbers_of(scaled.x_train), scaled.x_train[:, 2, 2, 0], strict=True))) == 300


def test_arrays_that_are_not_of_the_scale_asked_for_are_refused(folder):
    with pytest.raises(ValueError, match="data_scale is 3, but there are 500 images"):
        load(folder, data_scale=3)


@pytest.mark.parametrize("key", ["train_images", "evaluation_images"])
def test_more_images_than_there_are_is_refused(folder, key):
    with pytest.raises(ValueError, match=f"{key} is 501, but the data set has"):
        load(folder, **{key: 501})


def test_sparse_losses_get_class_numbers(folder):
    arrays = load(folder, loss="sparse_categorical_crossentropy")
    assert arrays.y_train.dtype == np.int32
    np.testing.assert_array_equal(arrays.y_train, numbers_of(arrays.x_train) % 5)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_scaling_maps_bytes_to_the_unit_interval(folder, precision):
    arrays = data.load(folder, settings(precision=precision), 1)
    assert arrays.x_train.dtype == arrays.y_train.dtype == precision
    assert arrays.x_train[0, 2, 2, 0] == np.asarray(7, precision) / np.asarray(255, precision)


def test_floating_point_data_are_left_as_the_user_scaled_them(folder):
    x = np.load(Path(folder, "x_train.npy"))
    np.save(Path(folder, "x_train.npy"), x.astype("float32") / 7)
    assert data.load(folder, settings(), 1).x_train[0, 2, 2, 0] == 1.0


def test_standardizing_uses_the_training_images_alone(folder):
    arrays = data.load(folder, settings(preprocessing="standardize", train_images=100), 1)
    np.testing.assert_allclose(arrays.x_train.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(arrays.x_train.std(axis=(0, 1, 2)), 1, atol=1e-5)
    assert abs(arrays.x_evaluation.mean()) > 0.01


def test_a_constant_channel_survives_standardizing(folder):
    for name in ("x_train", "x_test"):
        x = np.load(Path(folder, name + ".npy"))
        x[..., 0] = 9
        np.save(Path(folder, name + ".npy"), x)
    arrays = data.load(folder, settings(preprocessing="standardize"), 1)
    assert not arrays.x_train[..., 0].any()


def test_channels_first_moves_the_channels(folder):
    last, first = load(folder), load(folder, data_layout="channels_first")
    assert (last.input_shape, first.input_shape) == ((4, 3, 2), (2, 4, 3))
    np.testing.assert_array_equal(first.x_train, last.x_train.transpose(0, 3, 1, 2))
    assert first.x_train.flags.c_contiguous


def test_each_epoch_has_its_own_order_and_each_seed_too():
    orders = [tuple(data.epoch_order(50, seed, epoch)) for seed in (1, 2) for epoch in (1, 2, 3)]
    assert len(set(orders)) == 6
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == tuple(data.epoch_order(50, 1, 1))


@pytest.mark.parametrize(
    ("num_images", "batch_size", "expected"),
    [(1000, 200, 200), (1001, 200, 201), (1399, 200, 399), (100, 200, 100)],
)
def test_first_batches_show_every_shape_of_an_epoch(num_images, batch_size, expected):
    def shapes(count):
        return {min(batch_size, count - start) for start in range(0, count, batch_size)}

    head = data.first_batches(num_images, batch_size)
    assert len(range(num_images)[head]) == expected
    assert shapes(expected) == shapes(num_images)


DIGESTS = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from bakeoff_worker import data, weights
from bakeoff_worker.job import TrialSettings
found = {"numpy": np.__version__}
for layout in ("channels_last", "channels_first"):
    for preprocessing in ("scale", "standardize"):
        asked = TrialSettings("fake", "fake", evaluation_split="validation", train_images=300,
                              data_layout=layout, preprocessing=preprocessing, evaluation_images=40)
        arrays = data.load(sys.argv[2], asked, 11)
        for name in ("x_train", "y_train", "x_evaluation", "y_evaluation"):
            digest = hashlib.sha256(getattr(arrays, name).tobytes()).hexdigest()
            found["{} {} {}".format(layout, preprocessing, name)] = digest
found["orders"] = [
    data.epoch_order(10000, seed, epoch).tolist()[:50] for seed in (0, 7, 10**9) for epoch in (1, 200)
]
found["weights"] = [
    weights.sha256([weights.draw(name, {}, (5, 5, 30, 15), 7, index)])
    for name in ("GlorotUniform", "HeNormal", "LecunNormal") for index in range(3)
]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_all_numpys_agree_on_images_orders_and_weights(folder, environment, tmp_path):
    script = tmp_path / "digests.py"
    script.write_text(DIGESTS)
    found = {}
    for name in ("fake", "theano", "vintage"):
        command = [environment(name).python, script, WORKER_ROOT, folder]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        answer = json.loads(output.stdout)
        version = answer.pop("numpy")
        found[version] = answer
    assert len(found) == 3, "three different NumPys"
    first, *others = found.values()
    assert all(other == first for other in others)
