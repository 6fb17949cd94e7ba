"""Folders of images: ``train/<class>/`` and ``test/<class>/``, or class folders alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bakeoff.datasets import resize, tree
from bakeoff.datasets.own import splits
from bakeoff.datasets.own.raw import Array, Failures, Picture, Raw, listed, require_memory, stacked
from bakeoff.errors import DatasetError

EXPECTED = "train/<class>/ and test/<class>/, or <class>/, with images in each"

# What operating systems and packers leave in folders; names that begin with a dot are hidden anyway.
_STRAY_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db")
_STRAY_FOLDERS = ("__MACOSX", "@eaDir")


def read_folder(path: Path, side: int | None) -> Raw:
    """The images below a folder. side: resize each as it is decoded.

    Raises:
        DatasetError: no class folders, an empty one, a file that is no image, images that can't be read.
    """
    by_split = _split_folders(path)
    if not by_split:
        return _read_unsplit(path, side)
    of_class = {split: _classes(folder) for split, folder in by_split.items()}
    roles = splits.roles(
        str(path), {split: sum(map(len, classes.values())) for split, classes in of_class.items()}
    )
    train = of_class["train"]
    if not train:
        raise DatasetError(f"{by_split['train']}: got no class folders, expected {EXPECTED}")
    class_names = list(train)
    if roles.test is None:
        raw = _drawn(path, train, side)
    else:
        test = of_class[roles.test]
        if unknown := [name for name in test if name not in train]:
            raise DatasetError(
                f"{by_split[roles.test]}: got classes {listed(unknown)}, which train doesn't have; "
                f"expected {', '.join(class_names)}"
            )
        if not any(test.values()):
            raise DatasetError(
                f"{by_split[roles.test]}: got no images, expected at least one in a class folder"
            )
        raw = _decoded(path, {"train": train, "test": test}, side, class_names)
    notes = [roles.note, *raw.notes, _stray_note(path)]
    return Raw(raw.arrays, class_names, tuple(note for note in notes if note))


def _read_unsplit(path: Path, side: int | None) -> Raw:
    classes = _classes(path)
    if not any(classes.values()):
        inside = [folder.name for folder in tree.visible_folders(path) if _split_folders(folder)]
        raise DatasetError(
            f"{path}: got no class folders, expected {EXPECTED}",
            f"name the folder in it: {path / inside[0]}" if inside else "docs/data.md shows the forms",
        )
    if len(classes) == 1:
        (only,) = classes
        raise DatasetError(
            f"{path}: got the one class folder {only}, expected two at least",
            f"name the folder in it: {path / only}" if tree.visible_folders(path / only) else "",
        )
    raw = _drawn(path, classes, side)
    return Raw(raw.arrays, raw.class_names, (*raw.notes, *filter(None, [_stray_note(path)])))


def _drawn(path: Path, classes: Mapping[str, Sequence[Path]], side: int | None) -> Raw:
    """Class folders of one split, some of whose images are to test."""
    files = [file for members in classes.values() for file in members]
    class_of = np.repeat(np.arange(len(classes)), [len(members) for members in classes.values()])
    names = [f"{name}/{file.name}" for name, members in classes.items() for file in members]
    is_test = splits.drawn(str(path), names, class_of, list(classes))
    testing = {file for file, tests in zip(files, is_test, strict=True) if tests}
    by_split = {
        "train": {name: [file for file in files if file not in testing] for name, files in classes.items()},
        "test": {name: [file for file in files if file in testing] for name, files in classes.items()},
    }
    raw = _decoded(path, by_split, side, list(classes))
    return Raw(raw.arrays, raw.class_names, (splits.drawn_note(is_test),))


def _split_folders(path: Path) -> dict[str, Path]:
    """The folders called as splits; none unless one of them is the training images."""
    found: dict[str, Path] = {}
    for folder in tree.visible_folders(path):
        split = splits.split_called(folder.name)
        if split is None:
            continue
        if split in found:
            raise DatasetError(
                f"{path}: got two folders of {split} images, {found[split].name} and {folder.name}",
                "put them together, or move one away",
            )
        found[split] = folder
    if found and "train" not in found:
        raise DatasetError(
            f"{path}: got {', '.join(folder.name for folder in found.values())} and no train folder, "
            f"expected {EXPECTED}"
        )
    return found


def _classes(path: Path) -> dict[str, list[Path]]:
    """Images by class folder, in alphabetical order.

    Raises:
        DatasetError: a class folder without images, or a file in one that is none.
    """
    classes: dict[str, list[Path]] = {}
    strange: list[Path] = []
    for folder in tree.visible_folders(path):
        if folder.name in _STRAY_FOLDERS:
            continue
        files = [file for file in tree.visible_files(folder) if not _is_stray(file, path)]
        strange += [file for file in files if file.suffix.lower() not in tree.PICTURES]
        classes[folder.name] = files
    if strange:
        raise DatasetError(
            f"no images, but in class folders: {listed([*map(str, strange)])}; "
            f"expected {', '.join(tree.PICTURES)}",
            "move them out of the class folders",
        )
    empty = [name for name, files in classes.items() if not files]
    if empty and any(classes.values()):
        raise DatasetError(
            f"{path}: {listed(empty)} {'has' if len(empty) == 1 else 'have'} no images; "
            "expected some in each class folder",
            "remove the empty folders, or fill them",
        )
    return classes


def _is_stray(file: Path, path: Path) -> bool:
    inside = file.relative_to(path)
    return file.name.lower() in _STRAY_FILES or any(part in _STRAY_FOLDERS for part in inside.parts)


def _stray_note(path: Path) -> str:
    names = Counter(file.name for file in tree.visible_files(path) if _is_stray(file, path))
    if not names:
        return ""
    counted = listed([f"{name} ({count})" for name, count in sorted(names.items())])
    return f"passed over, left by the system: {counted}"


def _decoded(
    path: Path,
    by_split: Mapping[str, Mapping[str, Sequence[Path]]],
    side: int | None,
    class_names: list[str],
) -> Raw:
    files = {
        split: [(file, class_names.index(name)) for name, members in classes.items() for file in members]
        for split, classes in by_split.items()
    }
    num_files = sum(map(len, files.values()))
    first = files["train"][0][0]
    height, width, channels = resize.shape_of(first, str(first), side)
    require_memory(str(path), (num_files, height, width, channels), np.dtype(np.uint8))
    failures = Failures([])
    pictures: dict[str, list[Picture]] = {}
    labels: dict[str, Array] = {}
    for split, members in files.items():
        pictures[split] = []
        for file, _ in members:
            with failures.gathered():
                pictures[split].append((str(file), resize.decoded(file, str(file), side)))
        labels[split] = np.array([number for _, number in members], np.int64)
    failures.raise_all(num_files)
    return Raw(stacked(pictures, labels), class_names)
