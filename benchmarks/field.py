"""``make bench-field``: what people bring, each situation as it should be: trained and certified, or refused.

Models and recipes run through the whole program on every living backend (`LIVING`) and are verified. Data are
read and counted. Mistakes must be refused in words that name what mends them. Last, minutes from a folder of
images and a model file to the first verdict, by ``bakeoff init`` and ``bakeoff run``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

import bakeoff
from bakeoff import cli, datasets
from bakeoff.errors import BakeoffError
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

LIVING = ("tensorflow", "jax", "torch")
FEWEST, MINUTES = 60, 5.0
Writer = Callable[[Path], None]


def images(num: int, num_classes: int, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Grey images (num, side, side) whose brightness tells their class, and class numbers (num,)."""
    random = np.random.default_rng(num)
    y = np.arange(num) % num_classes
    x = random.integers(0, 60, (num, side, side)) + (160 * y // num_classes)[:, None, None]
    return x.astype(np.uint8), y


def npz(*, num_classes: int = 3, **changes: Any) -> Writer:
    """Arrays by their usual names; `changes`: others in their place, None for none."""

    def write(folder: Path) -> None:
        (x_train, y_train), (x_test, y_test) = images(60, num_classes), images(30, num_classes)
        arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, **changes}
        np.savez(folder / "data.npz", **{name: array for name, array in arrays.items() if array is not None})

    return write


def medmnist(folder: Path) -> None:
    named: dict[str, Any] = {}
    for part, num in {"train": 60, "val": 12, "test": 30}.items():
        named[f"{part}_images"], named[f"{part}_labels"] = images(num, 3)
    np.savez(folder / "data.npz", **named)


def folders(*parts: str, classes: Sequence[str] = ("cat", "dog"), also: Any = id, **save: Any) -> Writer:
    """Ten images a class and part, a file each, below ``pets``; `save`: how Pillow saves them."""

    def write(folder: Path) -> None:
        for part in parts:
            for number, name in enumerate(classes):
                place = folder / "pets" / part / name
                place.mkdir(parents=True)
                for index, image in enumerate(images(10, 5)[0]):
                    picture = Image.fromarray(image // 2 + 100 * number)
                    picture.convert(save.get("mode", "L")).save(place / f"{index}.{save.get('kind', 'png')}")
        also(folder / "pets")

    return write


def csv(header: bool = True, pixels: int = 64) -> Writer:
    def write(folder: Path) -> None:
        x, y = images(60, 3)
        rows = {"label": y} | {f"pixel{place}": x.reshape(60, -1)[:, place] for place in range(pixels)}
        pl.DataFrame(rows).write_csv(folder / "data.csv", include_header=header)

    return write


def parquet(
    files: Mapping[str, int], image: str = "image", has_bytes: bool = True, split: bool = False
) -> Writer:
    """Hugging Face's form: structs of encoded bytes and a path. files: path to number of rows."""

    def row(pixels: np.ndarray) -> dict[str, Any]:
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "png")
        return {"bytes": encoded.getvalue() if has_bytes else None, "path": "a.png"}

    def write(folder: Path) -> None:
        for path, num in files.items():
            x, y = images(num, 3)
            table = pl.DataFrame({image: [row(one) for one in x], "label": y})
            if split:
                table = table.with_columns(split=pl.Series(["train"] * (num - 12) + ["test"] * 12))
            (folder / path).parent.mkdir(exist_ok=True)
            table.write_parquet(folder / path)

    return write


def put(path: str, content: bytes = b"no image") -> Writer:
    def write(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    return write


def lying(folder: Path) -> None:
    """A header that claims far more than there is."""
    npz(x_train=None)(folder)
    with zipfile.ZipFile(folder / "data.npz", "a") as archive, archive.open("x_train.npy", "w") as member:
        claim = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**3, 10**3)}
        np.lib.format.write_array_header_1_0(member, claim)


HEAD = """
import keras
from keras import layers, models

def chain(shape, *parts):
    inputs = x = layers.Input(shape=shape)
    for part in parts:
        x = part(x)
    return models.Model(inputs, x)

def top(n):
    return layers.Dense(n, activation="softmax")
"""
PLAIN = 'def build(s, n):\n    return chain(s, layers.Flatten(), layers.Dense(9, activation="tanh"), top(n))'
DENSE = PLAIN.replace("top(n)", "layers.Dense(n)")
ONE = PLAIN.replace("top(n)", 'layers.Dense(1, activation="sigmoid")')
TRANSFORMER = (Path(__file__).parents[1] / "examples/gallery/transformer.py").read_text()
RESNET = (Path(__file__).parents[1] / "examples/gallery/resnet.py").read_text()
SCALE = """
@keras.saving.register_keras_serializable("field")
class Scale(layers.Layer):
    def __init__(self, start=1.0, **options):
        super().__init__(**options)
        self.start = start
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")
    def call(self, x):
        return self.start * x * self.factor
def build(s, n):
    return chain(s, layers.Flatten(), Scale(2.0), top(n))
"""
LOST = SCALE.replace("def call", "def get_config(self):\n        return super().get_config()\n    def call")
SUBCLASS = """
class Net(keras.Model):
    def __init__(self, n):
        super().__init__()
        self.flat, self.hidden, self.last = layers.Flatten(), layers.Dense(9, activation="tanh"), top(n)
    def call(self, x):
        return self.last(self.hidden(self.flat(x)))
def build(s, n):
    return Net(n)
"""
CLUSTER = {"distribution": "elephas", "environment": "tensorflow_spark", "distribution_options.layout": "1x2",
           "distribution_options.mode": "synchronous", "distribution_options.batch_size_per_task": 8}  # fmt: skip


def layers_of(*parts: str) -> str:
    return f"def build(s, n):\n    return chain(s, {', '.join(parts)}, top(n))"


USUAL = npz()


@dataclass(frozen=True)
class Entry:
    """One situation. One of the expectations, or none: trained by all `backends` and certified.

    model: after `HEAD`, or whole where it imports for itself; settings: of the study beside the usual ones.
    refused, differs: words, as a regular expression, of a refusal, of a certificate that isn't "same".
    skipped: backend and words. counts: training and test images and classes of data that are only read.
    """

    name: str
    model: str = PLAIN
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Writer = USUAL
    dataset: str = "data.npz"
    backends: Sequence[str] = LIVING
    refused: str = ""
    differs: str = ""
    skipped: tuple[str, str] | None = None
    counts: tuple[int, int, int] | None = None


def data(name: str, writer: Writer, dataset: str, *counts: int, refused: str = "") -> Entry:
    expected = (counts[0], counts[1], counts[2]) if counts else None
    return Entry(f"data: {name}", data=writer, dataset=dataset, counts=expected, refused=refused)


def mistake(name: str, settings: Mapping[str, Any], refused: str, code: str = PLAIN, **more: Any) -> Entry:
    return Entry(f"mistake: {name}", code, settings, refused=refused, backends=("torch",), **more)


BINARY = {"loss": "binary_crossentropy"}
FLAT = "layers.Flatten()"
ENTRIES = (
    Entry("a dense network", PLAIN),
    Entry("a convolutional one", layers_of("layers.Conv2D(4, 3, activation='relu')", "layers.MaxPooling2D(2)", FLAT)),
    Entry("class numbers as labels", PLAIN, settings={"loss": "sparse_categorical_crossentropy"}),
    Entry("logits, declared in the study", DENSE, settings={"from_logits": True}),
    Entry("logits, declared in the model file", "from_logits = True\n" + DENSE),
    Entry("two classes, one sigmoid", ONE, settings=BINARY, data=npz(num_classes=2)),
    Entry("two classes, one logit", ONE.replace(', activation="sigmoid"', ""), settings={**BINARY, "from_logits": True}, data=npz(num_classes=2)),
    Entry("a sigmoid for each class", PLAIN.replace("top(n)", 'layers.Dense(n, activation="sigmoid")'), settings=BINARY),
    Entry("a subclass of keras.Model", SUBCLASS),
    Entry("images of any size", layers_of("layers.Conv2D(4, 3)", "layers.GlobalAveragePooling2D()").replace("chain(s", "chain((None, None, 1)")),
    Entry("a residual network of own blocks", RESNET),
    Entry("a vision transformer", TRANSFORMER),
    Entry("a GRU", layers_of("layers.Reshape((8, 8))", "layers.GRU(4)")),
    Entry("a bidirectional LSTM", layers_of("layers.Reshape((8, 8))", "layers.Bidirectional(layers.LSTM(3))")),
    Entry("augmentation in the model", layers_of("layers.RandomFlip('horizontal')", "layers.RandomRotation(0.1)", FLAT)),
    Entry("batch normalization", layers_of("layers.Conv2D(4, 3)", "layers.BatchNormalization()", FLAT)),
    Entry("layer normalization, gelu, dropout", layers_of(FLAT, "layers.LayerNormalization()", "layers.Dense(9, activation='gelu')", "layers.Dropout(0.2)")),
    Entry("depthwise and separable convolutions", layers_of("layers.DepthwiseConv2D(3)", "layers.SeparableConv2D(4, 3)", FLAT)),
    Entry("transposed convolution, upsampling", layers_of("layers.Conv2DTranspose(3, 3, strides=2)", "layers.UpSampling2D(2)", FLAT)),
    Entry("a layer of one's own", SCALE),
    Entry("a Lambda", layers_of("layers.Lambda(lambda x: 2 * x)", FLAT)),
    Entry("a model within a model", layers_of(FLAT, "models.Sequential([layers.Dense(6, activation='tanh')])")),
    Entry("a compiled model", PLAIN.replace("return", "model =") + "\n    model.compile('sgd', 'mse')\n    return model"),
    Entry("average pooling 'same' on PyTorch", layers_of("layers.AveragePooling2D(3, strides=2, padding='same')", FLAT), differs="average_pooling2d"),
    Entry("a 1x1 convolution with strides over few channels", layers_of("layers.Conv2D(4, 3)", "layers.Conv2D(8, 1, strides=2)", FLAT), skipped=("torch", "wrong gradients of a 1x1 convolution")),
    Entry("a GRU on Theano, Python 3.11", layers_of("layers.Reshape((8, 8))", "layers.GRU(4)"), backends=("theano", "torch"), differs="gru"),
    Entry("a layer of one's own on a cluster", SCALE, CLUSTER, backends=("tensorflow",)),
    Entry("the same, its options left out of get_config()", LOST, CLUSTER, backends=("tensorflow",), refused="becomes another on its way to executors.*get_config"),
    Entry("a subclass on a cluster", SUBCLASS, CLUSTER, backends=("tensorflow",), refused="can't travel to executors|becomes another"),
    Entry("recipe: SGD, momentum, steps", PLAIN, {"optimizer": "sgd", "optimizer_options.momentum": 0.9, "learning_rate": 0.01, "schedule": "step", "schedule_options.at_epochs": [1]}),
    Entry("recipe: SGD, Nesterov", PLAIN, {"optimizer": "sgd", "optimizer_options.momentum": 0.9, "optimizer_options.nesterov": True}),
    Entry("recipe: AdamW, cosine, warm-up", PLAIN, {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "cosine", "schedule_options.warm_up_epochs": 1}),
    Entry("recipe: RMSprop, exponential", PLAIN, {"optimizer": "rmsprop", "schedule": "exponential"}),
    Entry("recipe: clipping by the norm of all", PLAIN, {"clip_global_norm": 0.1}),
    Entry("recipe: label smoothing", PLAIN, {"label_smoothing": 0.1}),
    Entry("recipe: smoothed labels of logits", DENSE, {"label_smoothing": 0.1, "from_logits": True}),
    Entry("recipe: class weights", PLAIN, {"class_weights": [1.0, 2.0, 0.5]}),
    Entry("recipe: one sigmoid, class weights", ONE, {**BINARY, "class_weights": [1.0, 3.0]}, data=npz(num_classes=2)),
    Entry("recipe: the model file's own", PLAIN + "\ndef optimizer():\n    return keras.optimizers.SGD(0.1)\ndef loss():\n    return keras.losses.CategoricalCrossentropy()", {"optimizer": "own", "loss": "own"}),
    Entry("recipe: AdamW on Keras 2", PLAIN, {"optimizer": "adamw", "weight_decay": 0.01}, backends=("theano", "torch"), skipped=("theano", "AdamW|adamw|weight_decay")),
    data("npz", npz(), "data.npz", 60, 30, 3),
    data("npz of MedMNIST", medmnist, "data.npz", 60, 30, 3),
    data("npz, names as X_train", npz(x_train=None, X_train=images(60, 3)[0]), "data.npz", 60, 30, 3),
    data("class folders without split", folders(""), "pets", 16, 4, 2),
    data("train and test folders", folders("train", "test"), "pets", 20, 20, 2),
    data("train, val and test", folders("train", "val", "test"), "pets", 20, 20, 2),
    data("Training and Testing", folders("Training", "Testing"), "pets", 20, 20, 2),
    data("Thumbs.db, .DS_Store, __MACOSX", folders("train", "test", also=lambda folder: [put(name)(folder) for name in ("train/cat/Thumbs.db", "train/.DS_Store", "__MACOSX/x.png")] and None), "pets", 20, 20, 2),
    data("GIF", folders("train", "test", kind="gif"), "pets", 20, 20, 2),
    data("WebP in colour", folders("train", "test", kind="webp", mode="RGB"), "pets", 20, 20, 2),
    data("TIFF of 16 bits", folders("train", "test", kind="tiff", mode="I;16"), "pets", 20, 20, 2),
    data("Kaggle's CSV", csv(), "data.csv", 48, 12, 3),
    data("CSV without a header", csv(header=False), "data.csv", 48, 12, 3),
    data("Hugging Face's folder", parquet({"hf/train-00000-of-00001.parquet": 60, "hf/test-00000-of-00001.parquet": 30}), "hf", 60, 30, 3),
    data("its column img", parquet({"hf/train-0.parquet": 60, "hf/test-0.parquet": 30}, "img"), "hf", 60, 30, 3),
    data("Parquet with a column split", parquet({"data.parquet": 60}, split=True), "data.parquet", 48, 12, 3),
    data("Parquet of paths alone", parquet({"data.parquet": 60}, has_bytes=False), "data.parquet", refused="paths"),
    data("an empty class folder", folders("train", "test", also=lambda folder: (folder / "train" / "bird").mkdir()), "pets", refused="bird has no images"),
    data("damaged images", folders("train", "test", also=lambda folder: [put(f"train/cat/{n}.png")(folder) for n in range(4)] and None), "pets", refused="4 of 40 images can't be used"),
    data("images of several sizes", folders("train", "test", also=lambda folder: Image.new("L", (9, 9)).save(folder / "train/cat/x.png")), "pets", refused="several sizes.*image_size"),
    data("one class", folders("train", "test", classes=("cat",)), "pets", refused="class"),
    data("npz without test images", npz(x_test=None), "data.npz", refused="missing x_test"),
    data("labels as texts", npz(y_train=np.array(["a", "b", "c"] * 20), y_test=np.array(["a", "b", "c"] * 10)), "data.npz", 60, 30, 3),
    data("labels with a gap", npz(y_train=np.arange(60) % 3 * 2), "data.npz", refused="np.unique"),
    data("fewer labels than images", npz(y_train=np.zeros(9, int)), "data.npz", refused="y_train"),
    data("objects in npz", npz(x_train=np.array([[1], [1, 2]], dtype=object)), "data.npz", refused="pickle"),
    data("a header that lies", lying, "data.npz", refused="claims 1,000,000 x"),
    data("no squares in CSV", csv(pixels=60), "data.csv", refused="square grey image"),
    mistake("logits, not declared", {}, 'no probabilities.*softmax.*from_logits = true', DENSE),
    mistake("probabilities, declared as logits", {"from_logits": True}, "outputs are probabilities.*Take away from_logits"),
    mistake("one output, categorical loss", {}, 'Set loss = "binary_crossentropy"', ONE, data=npz(num_classes=2)),
    mistake("logits for a loss that takes none", {"from_logits": True, "loss": "mean_squared_error"}, "takes no logits"),
    mistake("tensorflow.keras", {}, "from keras import layers, models", "from tensorflow.keras import layers\n" + PLAIN),
    mistake("no build()", {}, "defines no function `build", "def make(s, n): pass"),
    mistake("build() raises", {}, "raised ZeroDivisionError", "def build(s, n): return 1 / 0"),
    mistake("other classes", {}, r"expected \(None, 3\)", PLAIN.replace("top(n)", "top(n + 1)")),
    mistake("no model", {}, "expected a keras.Model", "def build(s, n): return [s, n]"),
    mistake("other images", {}, "the data have", PLAIN.replace("chain(s", "chain((9, 9, 1)")),
    mistake("batch_size", {"batch_size": 8}, "did you mean `global_batch_size`"),
    mistake("lr", {"lr": 0.1}, "did you mean `learning_rate`"),
    mistake("pytorch", {"backend": "pytorch"}, "did you mean `torch`"),
    mistake("epochs as text", {"epochs": "10"}, "expected a whole number"),
    mistake("AdamW without decay", {"optimizer": "adamw"}, "weight_decay"),
    mistake("two ways to clip", {"clip_norm": 1.0, "clip_value": 1.0}, "clip_"),
    mistake("an unknown schedule", {"schedule": "cosin"}, "did you mean `cosine`"),
    mistake("no such model file", {"model": "gone.py"}, "gone.py"),
    mistake("no such data", {"dataset": "gone.npz"}, "gone.npz"),
)  # fmt: skip


def outcome(entry: Entry, folder: Path) -> str:
    """What came of it, empty if that is as expected."""
    entry.data(folder)
    (folder / "net.py").write_text(entry.model if entry.model.startswith('"""') else HEAD + entry.model)
    usual = {"dataset": entry.dataset, "model": "net.py", "epochs": 2, "global_batch_size": 8, "threads": 1}
    settings = {**usual, **entry.settings}
    axis = "" if "backend" in settings else f"\n[matrix]\nbackend = {json.dumps(entry.backends)}"
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (folder / "study.toml").write_text("\n".join(["repeats = 1", "[defaults]", *lines, axis]))
    try:
        study = bakeoff.load(folder / "study.toml")
        if entry.name.startswith("data:"):
            found = datasets.ensure(str(folder / entry.dataset))
            got = (found.num_train, found.num_test, found.num_classes)
            return "" if got == entry.counts else f"{got}, expected {entry.counts or entry.refused}"
        bakeoff.run(study, folder / "store.sqlite", progress=False)
        if "distribution" in entry.settings and not entry.refused:  # one alone has nobody to meet beforehand
            cli.main(["verify", str(folder / "study.toml"), "--store", str(folder / "store.sqlite")])
    except BakeoffError as error:
        said = " ".join([error.message, error.hint or ""])
        return "" if entry.refused and re.search(entry.refused, said, re.DOTALL) else f"refused: {said}"
    with Reader(folder / "store.sqlite") as reader:
        return judged(entry, reader.runs(), reader.certificates(study.name))


def judged(entry: Entry, runs: pl.DataFrame, certificates: pl.DataFrame) -> str:
    """The same of a study that was run, from its runs and certificates."""
    reasons = " ".join(filter(None, runs["reason"].to_list()))
    if entry.refused:
        is_right = "ok" not in runs["status"] and re.search(entry.refused, reasons, re.DOTALL)
        return (
            "" if is_right else f"expected a refusal, {entry.refused}; {runs['status'].to_list()} {reasons}"
        )
    pairs = certificates.filter(kind="round" if "distribution" in entry.settings else "pair")
    if entry.skipped:
        backend, words = entry.skipped
        status = dict(zip(runs["backend"], runs["status"], strict=True))
        others = {one for name, one in status.items() if name != backend}
        is_right = status.get(backend) == "skipped" and others == {"ok"} and re.search(words, reasons)
        return "" if is_right else f"{status} {reasons}"
    if set(runs["status"]) != {"ok"} or len(runs) != len(entry.backends):
        return f"{runs['status'].to_list()} {reasons}"
    num_pairs = max(1, len(entry.backends) * (len(entry.backends) - 1) // 2)  # or a cluster's round
    if len(pairs) != num_pairs:
        return f"trained with {len(pairs)} certificates, expected {num_pairs}"
    unlike = " ".join(pairs.filter(pl.col("verdict") != "same")["document"])
    if entry.differs:
        return (
            ""
            if re.search(entry.differs, unlike)
            else f"all certified, expected a difference: {entry.differs}"
        )
    return f"not certified: {unlike[:600]}" if unlike else ""


def first_verdict(folder: Path) -> tuple[float, int]:
    """Minutes from a folder of images and a model file to a first verdict, as a new user gets there; and how
    many pairs it tells apart in time."""
    for part, num in (("train", 600), ("test", 150)):
        for index, (image, number) in enumerate(zip(*images(num, 3, side=32), strict=True)):
            place = folder / "pets" / part / ("cat", "dog", "owl")[number]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{index}.png")
    (folder / "net.py").write_text(HEAD + PLAIN)
    before, began = Path.cwd(), time.monotonic()
    os.chdir(folder)
    try:
        for command in (["init", "net.py", "pets", "--output", "first.toml"], ["run", "first.toml"]):
            if status := cli.main(command):
                raise SystemExit(f"bakeoff {' '.join(command)} left with {status}")
        minutes = (time.monotonic() - began) / 60
        num_told = bakeoff.open_results().verdicts().filter(on_time="faster").height
    finally:
        os.chdir(before)
    return minutes, num_told


def main() -> int:
    """Try every situation; 0 if each is as it should be."""
    parser = argparse.ArgumentParser(prog="bench-field", description=__doc__)
    parser.add_argument("--only", default="", help="situations whose names match this regular expression")
    only = parser.parse_args().only
    chosen = [entry for entry in ENTRIES if re.search(only, entry.name)]
    wrong, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bakeoff-field-") as root:
        for number, entry in enumerate(chosen):
            folder = Path(root, str(number))
            folder.mkdir()
            found = outcome(entry, folder)
            wrong += bool(found)
            print(f"{entry.name}: {found + '  WRONG' if found else 'as it should be'}", flush=True)
        right = Figure(
            f"{len(chosen) - wrong} of {len(chosen)} situations as they should be", "all", not wrong
        )
        figures = [right, Figure(f"{(time.monotonic() - began) / 60:.0f} min")]
        if not only:
            figures.insert(0, Figure(f"{len(chosen)} situations", f"≥ {FEWEST}", len(chosen) >= FEWEST))
            Path(root, "first").mkdir()
            minutes, num_told = first_verdict(Path(root, "first"))
            figures += [
                Figure(f"first verdict after {minutes:.1f} min", f"≤ {MINUTES:g} min", minutes <= MINUTES),
                Figure(f"{num_told} of 3 pairs told apart in it", "≥ 1", num_told >= 1),
            ]
    return conclude("field", figures)


if __name__ == "__main__":
    sys.exit(main())
