"""``make bench-identity``: whether anything that a run depends on can change unseen, and the reverse.

Each kind of change is made to a small study of its own, with the real program: the study runs in a store, the
change is made, and the study runs again in the same store. A change that the second run takes no notice of is
a silent reuse. What changes nothing (a touched file, a moved folder) must lead to no new run. The backend
`fake` trains nothing, but builds the user's model and is launched as all others are. About ten minutes.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import uv
from PIL import Image

import bakeoff
from bakeoff import execute, machine
from bakeoff.errors import BakeoffError
from bakeoff.events import Event, Recorded
from bakeoff.store.reader import Reader
from bakeoff.study import load
from benchmarks.goals import Figure, conclude

MIN_CHANGES = 40

_STUDY = """
name = "probe"
repeats = 1
[defaults]
backend = "fake"
epochs = 1
global_batch_size = 4
dataset = "{data}"
model = "{model}"
"""
_MODEL = """
import json
from pathlib import Path
import numpy as np
import helper

HERE = Path(__file__).parent

def build(input_shape, num_classes, width=1):
    try:
        import extra
    except ImportError:
        pass
    with open(HERE / "sizes.json") as file:
        json.load(file)
    np.load(HERE / "kernel.npy")
    (HERE / ".." / "shared" / "bias.txt").read_text()
    for name in sorted(path.name for path in (HERE / "parts").iterdir()):
        (HERE / "parts" / name).read_text()
    (HERE / "linked.txt").read_text()
"""
_LOAD = """
import csv, os, subprocess, sys
from pathlib import Path
import numpy as np
import reading
try:
    import corrections
except ImportError:
    corrections = None

HERE = Path(__file__).parent

def load():
    with open(HERE / "labels.csv") as file:
        labels = np.array([int(row[0]) for row in csv.reader(file)])
    pixels = np.fromfile(HERE / "pixels.bin", np.uint8).reshape(-1, 4, 4)
    for path in sorted((HERE / "more").glob("*.npy")):
        pixels = pixels + np.load(path)
    if os.path.isfile(HERE / "mask.txt"):
        pixels = pixels * 0
    pixels = pixels + reading.offset() + int(os.environ.get("PROBE_OFFSET", "0"))
    if corrections:
        pixels = pixels + corrections.AMOUNT
    return (pixels[:8], labels[:8]), (pixels[8:], labels[8:])
"""
_LOAD_NATIVELY = """
import numpy as np, polars
def load():
    table = polars.read_csv("labels.csv", has_header=False)
    labels = table[:, 0].to_numpy()
    x = np.zeros((12, 4, 4), "uint8")
    return (x[:8], labels[:8]), (x[8:], labels[8:])
"""
_LOAD_BY_ANOTHER_PROCESS = """
import subprocess
import numpy as np
def load():
    labels = np.array(subprocess.check_output(["cat", "labels.csv"]).split(), int)
    x = np.zeros((12, 4, 4), "uint8")
    return (x[:8], labels[:8]), (x[8:], labels[8:])
"""


@dataclass(frozen=True)
class Kind:
    """One kind of change. data: the study's data set. change: made to the study's folder between two runs.

    options: overrides of the second run. variables: of its environment. processor: what Linux tells of the
    processor then, from what it tells. is_change: whether anything that the run depends on is other then.
    before: made before the first run.
    """

    name: str
    data: str = "mine.npz"
    change: Callable[[Path], object] = lambda folder: None
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    processor: Callable[[str], str] = str
    is_change: bool = True
    before: Callable[[Path], object] = lambda folder: None


@dataclass(frozen=True)
class Outcome:
    """What the second run did. is_right: whether it should have. words: what happened."""

    is_right: bool
    words: str


# ---- the study's folder -----------------------------------------------------------------------------


def write_study(folder: Path, data: str) -> None:
    """A study with a model that reads all it can, and data in every form."""
    for name in ("nets/parts", "shared", "target", "more", "pictures", "elsewhere"):
        (folder / name).mkdir(parents=True)
    (folder / "study.toml").write_text(_STUDY.format(data=data, model="nets/net.py"))
    nets = folder / "nets"
    (nets / "net.py").write_text(_MODEL)
    (nets / "helper.py").write_text("import deeper\nimport package.part\n")
    (nets / "deeper.py").write_text("WIDTH = 8\n")
    (nets / "package").mkdir()
    (nets / "package" / "__init__.py").write_text("")
    (nets / "package" / "part.py").write_text("DEPTH = 2\n")
    (nets / "sizes.json").write_text(json.dumps({"units": 10}))
    np.save(nets / "kernel.npy", np.arange(9.0))
    (folder / "shared" / "bias.txt").write_text("0.1")
    (nets / "parts" / "a.txt").write_text("a")
    (folder / "target" / "one.txt").write_text("one")
    (folder / "target" / "two.txt").write_text("two")
    (nets / "linked.txt").symlink_to(folder / "target" / "one.txt")
    save_npz(folder)
    write_pictures(folder / "pets")
    write_pictures(folder / "elsewhere" / "others", shade=100)
    shutil.copytree(folder / "pets", folder / "pictures" / "pets")
    link_classes(folder / "links", folder / "pictures" / "pets")
    (folder / "link").symlink_to(folder / "pictures" / "pets")
    parquet(folder)
    (folder / "data.py").write_text(_LOAD)
    (folder / "natively.py").write_text(_LOAD_NATIVELY)
    (folder / "process.py").write_text(_LOAD_BY_ANOTHER_PROCESS)
    (folder / "reading.py").write_text("import offsets\ndef offset():\n    return offsets.AMOUNT\n")
    (folder / "offsets.py").write_text("AMOUNT = 1\n")
    write_labels(folder, [number % 2 for number in range(12)])
    np.arange(12 * 16, dtype=np.uint8).tofile(folder / "pixels.bin")
    np.save(folder / "more" / "first.npy", np.uint8(1))


def save_npz(folder: Path, save: Callable[..., None] = np.savez, **changes: Any) -> None:
    """``mine.npz``, with some arrays other than they are."""
    save(folder / "mine.npz", **(arrays() | changes))


def arrays() -> dict[str, Any]:
    """The data set's arrays, always the same."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (12, 4, 4, 1), np.uint8)
    return {"x_train": x[:8], "y_train": np.arange(8) % 2, "x_test": x[8:], "y_test": np.arange(4) % 2}


def write_pictures(folder: Path, shade: int = 0) -> None:
    """An image folder of two classes."""
    for split, number in (("train", 3), ("test", 2)):
        for place, name in enumerate(("cat", "dog")):
            (folder / split / name).mkdir(parents=True)
            for image in range(number):
                pixels = np.full((4, 4), shade + 10 * place + image, np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{image}.png")


def link_classes(folder: Path, target: Path) -> None:
    """An image folder whose class folders are links."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for name in ("cat", "dog"):
            (folder / split / name).symlink_to(target / split / name)


def parquet(folder: Path, names: Sequence[str] = ("cat", "dog"), flip: bool = False) -> None:
    """``mine.parquet``, of the same arrays as the folder of pictures."""
    rows = [
        (path.read_bytes(), names[place], split)
        for split in ("train", "test")
        for place, name in enumerate(("cat", "dog"))
        for path in sorted((folder / "pets" / split / name).glob("*.png"))
    ]
    if flip:
        rows[0], rows[1] = rows[1], rows[0]
    table = pl.DataFrame(rows, {"image": pl.Binary, "label": pl.String, "split": pl.String}, orient="row")
    table.write_parquet(folder / "mine.parquet")


def write_labels(folder: Path, labels: Sequence[int]) -> None:
    """``labels.csv``, as ``load()`` reads it."""
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([label] for label in labels)


# ---- changes ----------------------------------------------------------------------------------------


def text(name: str, content: str) -> Callable[[Path], object]:
    """Another content for a file."""
    return lambda folder: (folder / name).write_text(content)


def unnoticed(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Another content of the same length, with the time stamp put back to what it was."""

    def change(folder: Path) -> None:
        path = folder / name
        stamp = path.stat()
        path.write_text(path.read_text().replace(old, new))
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    return change


def relinked(name: str, target: str) -> Callable[[Path], object]:
    """A link that leads elsewhere."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(folder / target)

    return change


def linked(name: str, target: str) -> Callable[[Path], object]:
    """One more link."""
    return lambda folder: (folder / name).symlink_to(folder / target)


def renamed(name: str, new: str) -> Callable[[Path], object]:
    """A file under another name."""
    return lambda folder: (folder / name).rename(folder / new)


def copied(name: str, new: str) -> Callable[[Path], object]:
    """The same file under another name, too."""
    return lambda folder: shutil.copy(folder / name, folder / new)


def saved(name: str, array: Any) -> Callable[[Path], object]:
    """An array in a file."""
    return lambda folder: np.save(folder / name, array)


def renamed_class(folder: Path) -> None:
    """Dogs are called wolves; their number stays."""
    for split in ("train", "test"):
        (folder / "pets" / split / "dog").rename(folder / "pets" / split / "wolf")


def other_npz(folder: Path) -> None:
    """Another file of arrays."""
    np.savez(folder / "other.npz", **(_A | {"y_test": 1 - _A["y_test"]}))


def other_links(folder: Path) -> None:
    """Another folder of links, to other images."""
    link_classes(folder / "others", folder / "elsewhere" / "others")


def other_program(folder: Path) -> None:
    """The same program in another folder, beside another file of labels."""
    (folder / "copy").mkdir()
    for name in ("data.py", "reading.py", "offsets.py", "pixels.bin"):
        shutil.copy(folder / name, folder / "copy" / name)
    shutil.copytree(folder / "more", folder / "copy" / "more")
    flipped_labels(folder / "copy")


def flipped_labels(folder: Path) -> None:
    """Each image in the other class."""
    write_labels(folder, [1 - number % 2 for number in range(12)])


def blackened(folder: Path) -> None:
    """No pixel as it was."""
    np.zeros(12 * 16, np.uint8).tofile(folder / "pixels.bin")


def without_compiled(folder: Path) -> None:
    """Without what Python keeps of modules."""
    for path in list(folder.rglob("__pycache__")):
        shutil.rmtree(path)


def one_more_package(folder: Path) -> None:
    """A package `other` beside those that are there."""
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "other-1.0.dist-info").mkdir()
    (packages / "other-1.0.dist-info" / "METADATA").write_text("Name: other\nVersion: 1.0\n")


def npz(**changes: Any) -> Callable[[Path], object]:
    """Other arrays."""
    return lambda folder: save_npz(folder, **changes)


def picture(name: str, shade: int) -> Callable[[Path], object]:
    """Another image, or one more."""
    return lambda folder: Image.fromarray(np.full((4, 4), shade, np.uint8)).save(folder / name)


def rewritten(folder: Path) -> None:
    """Every file anew with the same content, as after a download or a checkout."""
    for path in [one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]:
        if ".sqlite" not in path.name:
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)


def touched(folder: Path) -> None:
    """Every file with a new time stamp."""
    for path in folder.rglob("*"):
        if path.is_file() and ".sqlite" not in path.name:
            os.utime(path)


def moved(folder: Path) -> None:
    """All of it in another place: the store comes along, links into the folder are set anew."""
    elsewhere = folder.with_name("moved")
    folder.rename(elsewhere)
    for path in elsewhere.rglob("*"):
        if path.is_symlink():
            target = path.readlink()
            path.unlink()
            path.symlink_to(elsewhere / target.relative_to(folder))


def behind_link(folder: Path) -> None:
    """The same files, now behind a link."""
    (folder / "pets").rename(folder / "elsewhere" / "pets")
    (folder / "pets").symlink_to(folder / "elsewhere" / "pets")


def interpreter(folder: Path) -> None:
    """An interpreter of the user's own, named in the study."""
    make_interpreter(folder, "venv")
    _bring_environment(folder, 'python = "venv/bin/python"')


def same_interpreter(folder: Path) -> None:
    """Another one with the same in it, named instead."""
    make_interpreter(folder, "other")
    study = folder / "study.toml"
    study.write_text(study.read_text().replace('"venv/bin', '"other/bin'))


def _bring_environment(folder: Path, table: str) -> None:
    study = (folder / "study.toml").read_text().replace('"fake"\n', '"fake"\nenvironment = "mine"\n', 1)
    (folder / "study.toml").write_text(f"{study}\n[environments.mine]\n{table}\n")


def make_interpreter(folder: Path, name: str) -> None:
    """A virtual environment with NumPy, a package `probe` 1.0, installed for editing, and one `plain` 1.0."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / name)], check=True)
    (packages,) = (folder / name).glob("lib/python*/site-packages")
    site = Path(np.__file__).parents[1]
    for pattern in ("numpy", "numpy.libs", "numpy-*.dist-info"):
        for path in site.glob(pattern):
            (packages / path.name).symlink_to(path)
    source = folder / f"{name}-source"
    source.mkdir()
    (source / "probe.py").write_text("SPEED = 1\n")
    for package in ("probe", "plain"):
        info = packages / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{package}.py,sha256=1111,10\n")
    editable = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (packages / "probe-1.0.dist-info" / "direct_url.json").write_text(json.dumps(editable))


def package(name: str, content: str) -> Callable[[Path], object]:
    """Another content for a file of the interpreter's packages."""

    def change(folder: Path) -> None:
        (path,) = folder.glob(f"venv/lib/python*/site-packages/{name}")
        path.write_text(content)

    return change


def lock(folder: Path) -> None:
    """A lock that the study brings, for an environment with NumPy alone."""
    subprocess.run(
        [
            uv.find_uv_bin(),
            "pip",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--output-file",
            str(folder / "lock.txt"),
            "-",
        ],
        input=f"numpy=={np.__version__}\n",
        text=True,
        check=True,
        capture_output=True,
    )
    version = "{}.{}".format(*sys.version_info)
    _bring_environment(folder, f'lock = "lock.txt"\npython_version = "{version}"')


def other_lock(folder: Path) -> None:
    """The same packages by another lock."""
    file = folder / "lock.txt"
    file.write_text(file.read_text() + "# read and approved\n")


def one_more_package_here(folder: Path) -> None:
    """Another package in an environment that Bakeoff made, as pip would leave it."""
    for packages in Path(os.environ["BAKEOFF_CACHE"]).glob(
        "environments/mine-*/venv/lib/python*/site-packages"
    ):
        (packages / "later-1.0.dist-info").mkdir()


def spark_settings(folder: Path) -> None:
    """Settings of a cluster, named by a variable."""
    (folder / "spark").mkdir()
    (folder / "spark" / "spark-defaults.conf").write_text("spark.executor.cores 1\n")


_SWAPPED = [1, 0, 2, 3, 4, 5, 6, 7]
_A = arrays()

CHANGES = (
    # A model and all that it reads.
    Kind("the model's text", change=text("nets/net.py", _MODEL + "# edited\n")),
    Kind("a module that it imports", change=text("nets/helper.py", "import deeper\n")),
    Kind("a module of that module", change=text("nets/deeper.py", "WIDTH = 9\n")),
    Kind("a package's __init__", change=text("nets/package/__init__.py", "NAME = 1\n")),
    Kind("a module of a package", change=text("nets/package/part.py", "DEPTH = 3\n")),
    Kind("a module, same size and time stamp", change=unnoticed("nets/deeper.py", "8", "9")),
    Kind("a data file of the model", change=text("nets/sizes.json", json.dumps({"units": 11}))),
    Kind("an array of the model", change=saved("nets/kernel.npy", np.arange(1, 10.0))),
    Kind("a file outside the model's folder", change=text("shared/bias.txt", "0.2")),
    Kind("a file in a folder that the model lists", change=text("nets/parts/a.txt", "b")),
    Kind("one more file in that folder", change=text("nets/parts/b.txt", "b")),
    Kind("a file behind a link", change=text("target/one.txt", "uno")),
    Kind("a link to another file", change=relinked("nets/linked.txt", "target/two.txt")),
    Kind("a module that was missing", change=text("nets/extra.py", "")),
    Kind("an option of the model", options=("model_options.width=2",)),
    Kind("a built-in model", options=("model=lenet5",)),
    # Arrays.
    Kind("a label", change=npz(y_train=np.array([1, 1, 0, 1, 0, 1, 0, 1]))),
    Kind("a pixel", change=npz(x_train=_A["x_train"] ^ np.uint8(1))),
    Kind("the order of images", change=npz(x_train=_A["x_train"][_SWAPPED], y_train=_A["y_train"][_SWAPPED])),
    Kind("a test label", change=npz(y_test=np.ones(4, int))),
    Kind(
        "the split",
        change=npz(
            x_train=_A["x_train"][:6],
            y_train=_A["y_train"][:6],
            x_test=np.concatenate([_A["x_test"], _A["x_train"][6:]]),
            y_test=np.concatenate([_A["y_test"], _A["y_train"][6:]]),
        ),
    ),
    Kind("the type of pixels", change=npz(x_train=_A["x_train"] / 1.0, x_test=_A["x_test"] / 1.0)),
    Kind("another file", options=("dataset=other.npz",), before=other_npz),
    # Image folders.
    Kind("an image", "pets", picture("pets/train/cat/0.png", 77)),
    Kind("one more image", "pets", picture("pets/test/dog/9.png", 77)),
    Kind("an image less", "pets", lambda folder: (folder / "pets/train/cat/2.png").unlink()),
    Kind("an image of another class", "pets", renamed("pets/train/cat/2.png", "pets/train/dog/9.png")),
    Kind("an image moved to the test set", "pets", renamed("pets/train/cat/2.png", "pets/test/cat/9.png")),
    Kind("images in another order", "pets", renamed("pets/train/cat/0.png", "pets/train/cat/9.png")),
    Kind("a class's name", "pets", renamed_class),
    Kind("an image in a class behind a link", "links", picture("pictures/pets/train/cat/0.png", 77)),
    Kind(
        "a class's link to another folder", "links", relinked("links/train/cat", "elsewhere/others/train/cat")
    ),
    Kind("an image in a folder behind a link", "link", picture("pictures/pets/test/cat/0.png", 77)),
    Kind("the folder's link to another one", "link", relinked("link", "elsewhere/others")),
    Kind("a link in a circle", "pets", linked("pets/train/cat/back", "pets")),
    Kind("a link to nothing", "pets", linked("pets/train/cat/9.png", "nothing")),
    Kind("another folder with links alone", "links", options=("dataset=others",), before=other_links),
    # Parquet.
    Kind("a class's name in Parquet", "mine.parquet", lambda folder: parquet(folder, ("cat", "wolf"))),
    Kind("rows in another order", "mine.parquet", lambda folder: parquet(folder, flip=True)),
    # What load() reads.
    Kind("a CSV file that load() reads", "data.py", flipped_labels),
    Kind("the same, same size and time stamp", "data.py", unnoticed("labels.csv", "0\n1\n0", "1\n1\n0")),
    Kind("a binary file that it reads", "data.py", blackened),
    Kind("a module that it imports", "data.py", text("reading.py", "def offset():\n    return 5\n")),
    Kind("a module of that module", "data.py", text("offsets.py", "AMOUNT = 2\n")),
    Kind("a module that was missing", "data.py", text("corrections.py", "AMOUNT = 3\n")),
    Kind("one more file in a folder that it lists", "data.py", saved("more/second.npy", np.uint8(1))),
    Kind("an environment variable that it reads", "data.py", variables={"PROBE_OFFSET": "1"}),
    Kind("what native code reads", "natively.py", flipped_labels),
    Kind("what another process reads", "process.py", flipped_labels),
    Kind("another program of that name", "data.py", options=("dataset=copy/data.py",), before=other_program),
    # What it runs in.
    Kind(
        "a package's version",
        before=interpreter,
        change=package("plain-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: plain\nVersion: 2.0\n"),
    ),
    Kind(
        "another build of that version",
        before=interpreter,
        change=package("plain-1.0.dist-info/RECORD", "plain.py,sha256=2222,10\n"),
    ),
    Kind(
        "a package installed for editing",
        before=interpreter,
        change=text("venv-source/probe.py", "SPEED = 2\n"),
    ),
    Kind("one more package", before=interpreter, change=one_more_package),
    Kind("another interpreter", before=interpreter, options=("environment=fake",)),
    Kind("the lock", before=lock, change=other_lock),
    Kind("one more package in an environment made here", before=lock, change=one_more_package_here),
    Kind("where libraries are looked for", variables={"LD_LIBRARY_PATH": "/opt/other"}),
    Kind("which GPUs are seen", variables={"CUDA_VISIBLE_DEVICES": "1"}),
    Kind("a cluster's settings", before=spark_settings, variables={"SPARK_CONF_DIR": "spark"}),
    # The first of several lines counts.
    Kind("another processor of the same name", processor=lambda told: f"model\t\t: 4711\n{told}"),
    Kind("a processor without its vector instructions", processor=lambda told: f"flags\t\t: fpu\n{told}"),
    # What is asked.
    Kind("the seed", options=("seed=7",)),
    Kind("epochs", options=("epochs=2",)),
    Kind("the batch size", options=("global_batch_size=2",)),
    Kind("the optimizer", options=("optimizer=sgd",)),
    Kind("an option of the optimizer", options=("optimizer_options.beta_1=0.8",)),
    Kind("the learning rate", options=("learning_rate=0.01",)),
    Kind("the loss", options=("loss=mean_squared_error",)),
    Kind("preprocessing", options=("preprocessing=standardize",)),
    Kind("a part of the images", options=("train_images=6",)),
    Kind("images to evaluate on", options=("evaluation_images=2",)),
    Kind("the evaluation split", options=("evaluation_split=validation", "validation_fraction=0.25")),
    Kind("the images' size", options=("image_size=8",)),
    Kind("more images", options=("data_scale=2",)),
    Kind("threads", options=("threads=1",)),
    Kind("precision", options=("precision=float64",)),
    Kind("the data's layout", options=("data_layout=channels_first",)),
    Kind("one more repeat", options=("repeats=2",)),
)

NO_CHANGES = (
    *(
        Kind(f"{words}, data {data}", data, change, is_change=False)
        for data in ("mine.npz", "links", "mine.parquet", "data.py")
        for words, change in (
            ("nothing", lambda folder: None),
            ("all files touched", touched),
            ("all files downloaded again", rewritten),
            ("the folder moved", moved),
        )
    ),
    Kind("images behind a link", "pets", behind_link, is_change=False),
    Kind("links instead of a folder", "pets", options=("dataset=links",), is_change=False),
    Kind("the same images as Parquet", "pets", options=("dataset=mine.parquet",), is_change=False),
    Kind(
        "the same arrays, compressed",
        change=lambda folder: save_npz(folder, np.savez_compressed),
        is_change=False,
    ),
    Kind(
        "the data file renamed",
        change=copied("mine.npz", "b.npz"),
        options=("dataset=b.npz",),
        is_change=False,
    ),
    Kind(
        "the model renamed",
        change=copied("nets/net.py", "nets/b.py"),
        options=("model=nets/b.py",),
        is_change=False,
    ),
    Kind("a file that nobody reads", change=text("nets/notes.txt", "later"), is_change=False),
    Kind("a hidden file among images", "pets", text("pets/train/cat/.DS_Store", "x"), is_change=False),
    Kind("a file that load() does not read", "data.py", text("notes.txt", "later"), is_change=False),
    Kind("compiled modules removed", change=without_compiled, is_change=False),
    Kind("the study's title", options=("title=Another title",), is_change=False),
    Kind("the time limit", options=("time_limit_s=99",), is_change=False),
    Kind(
        "what a later kernel tells of the processor",
        processor=lambda told: told.replace("\t: fpu ", "\t: fpu told_later ") + "later\t\t: yes\n",
        is_change=False,
    ),
    Kind("the same interpreter elsewhere", before=interpreter, change=same_interpreter, is_change=False),
    *(
        Kind(f"{name}, which reaches no worker", variables={name: value}, is_change=False)
        for name, value in {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_ENABLE_ONEDNN_OPTS": "0",
            "XLA_FLAGS": "--xla_dump_to=nowhere",
            "JAX_ENABLE_X64": "1",
            "KERAS_BACKEND": "torch",
            "KERAS_HOME": "nowhere",
            "TORCH_NUM_THREADS": "1",
            "THEANO_FLAGS": "floatX=float64",
            "THEANORC": "nowhere",
            "LD_PRELOAD": "",
            "PYTHONPATH": "nowhere",
            "MALLOC_ARENA_MAX": "1",
            "PYTHONHASHSEED": "7",
        }.items()
    ),
)


# ---- the measurement --------------------------------------------------------------------------------


def outcome(kind: Kind, folder: Path) -> Outcome:
    """Run, change, run again."""
    home = folder / "study"
    write_study(home, kind.data)
    kind.before(home)
    first = _run(home, ())
    if first != 1:
        return Outcome(False, f"the first run: {first}")
    kind.change(home)
    home = home if home.exists() else home.with_name("moved")
    with _variables(kind.variables, home), _processor(kind.processor, folder / "proc"):
        second = _run(home, kind.options)
    if isinstance(second, str):
        return Outcome(kind.is_change, f"refused: {second}")
    reached = _variables_of_runs(home) & kind.variables.keys() if not kind.is_change else set()
    if reached:
        return Outcome(False, f"{', '.join(reached)} reached the worker")
    if kind.is_change and second and kind.name != "one more repeat" and not _are_apart(home):
        return Outcome(False, "run again, but under the same name and condition")
    return Outcome((second > 0) == kind.is_change, f"{second} of 1 runs again")


def mid_run(folder: Path) -> Outcome:
    """A module edited while the study runs: what was trained then is nobody's result."""
    home = folder / "study"
    write_study(home, "mine.npz")

    def edit(event: Event) -> None:
        if isinstance(event, Recorded):
            (home / "nets" / "deeper.py").write_text("WIDTH = 10\n")

    study = load(home / "study.toml", ("repeats=2",))
    tally = bakeoff.run(study, home / "store.sqlite", progress=edit, verify=False)
    return Outcome("ok" not in tally.counts, f"runs that count: {tally.counts.get('ok', 0)}")


def _run(home: Path, options: Sequence[str]) -> int | str:
    """Runs that the study asked for and that ended well; or why it was refused."""
    place = Path.cwd()
    os.chdir(home)
    try:
        tally = bakeoff.run(load("study.toml", options), progress=False, store="store.sqlite", verify=False)
    except BakeoffError as error:
        return error.message
    finally:
        os.chdir(place)
    if not tally.all_ok:
        with Reader(home / "store.sqlite") as reader:
            return str(reader.runs()["reason"][-1])
    return sum(tally.counts.values())


def _are_apart(home: Path) -> bool:
    """Whether no two runs share name, seed and condition, so that none of them are averaged."""
    with Reader(home / "store.sqlite") as reader:
        runs = reader.runs().filter(status="ok")
    return runs.select("trial_id", "repeat", "seed", "condition_id").is_unique().all()


def _variables_of_runs(home: Path) -> set[str]:
    with Reader(home / "store.sqlite") as reader:
        resolved = [json.loads(text) for text in reader.facts()["resolved"]]
    return {name for one in resolved for name in one["variables"]}


@contextmanager
def _processor(told: Callable[[str], str], proc: Path) -> Iterator[None]:
    """This machine with a processor of which Linux tells something else. proc: a folder to be made."""
    proc.mkdir()
    (proc / "self").symlink_to("/proc/self")
    (proc / "cpuinfo").write_text(told(Path("/proc/cpuinfo").read_text()))
    execute._identity.cache_clear()
    try:
        with mock.patch.object(machine, "identity", partial(machine.identity, proc)):
            yield
    finally:
        execute._identity.cache_clear()


@contextmanager
def _variables(variables: Mapping[str, str], home: Path) -> Iterator[None]:
    before = dict(os.environ)
    paths = {name: str(home / value) for name, value in variables.items() if name.endswith("_CONF_DIR")}
    os.environ.update({**variables, **paths})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> int:
    """Try every kind; 0 if nothing was reused silently and nothing run again without need."""
    began = time.monotonic()
    wrong: dict[bool, list[str]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(prefix="bakeoff-identity-") as root:
        os.environ["BAKEOFF_CACHE"] = str(Path(root, "cache"))
        for number, kind in enumerate((*CHANGES, *NO_CHANGES)):
            folder = Path(root, str(number))
            folder.mkdir()
            found = outcome(kind, folder)
            mark = "" if found.is_right else "  WRONG"
            print(f"{'change' if kind.is_change else 'same  '}  {kind.name}: {found.words}{mark}", flush=True)
            if not found.is_right:
                wrong[kind.is_change].append(kind.name)
        Path(root, "mid").mkdir()
        found = mid_run(Path(root, "mid"))
        print(f"change  a module, while the study runs: {found.words}{'' if found.is_right else '  WRONG'}")
        if not found.is_right:
            wrong[True].append("mid-run")
    num_changes = len(CHANGES) + 1
    figures = [
        Figure(f"{num_changes} kinds of change", f"≥ {MIN_CHANGES}", num_changes >= MIN_CHANGES),
        Figure(f"silent reuses {len(wrong[True])}", "0", not wrong[True]),
        Figure(
            f"needless re-runs {len(wrong[False])} in {len(NO_CHANGES)} situations without a change",
            "0",
            not wrong[False],
        ),
        Figure(f"{time.monotonic() - began:.0f} s"),
    ]
    return conclude("identity", figures)


if __name__ == "__main__":
    sys.exit(main())
