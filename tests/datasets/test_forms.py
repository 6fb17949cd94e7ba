"""Decoding the forms in which data sets travel, right and damaged."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakeoff.datasets import forms
from bakeoff.errors import DatasetError


def decoded_equals(tiny: Any, folder: Path) -> bool:
    decoded = forms.decode(tiny.entry, forms.in_folder(folder))
    return all(np.array_equal(decoded.arrays[name], array) for name, array in tiny.arrays.items())


@pytest.mark.parametrize("form", ["idx", "npz"])
def test_grey_forms(grey: Any, tmp_path: Path, form: str) -> None:
    assert decoded_equals(grey, grey.write(tmp_path, getattr(grey, form)()))


@pytest.mark.parametrize("form", ["binary", "archive", "png", "npz"])
def test_colour_forms(colour: Any, tmp_path: Path, form: str) -> None:
    assert decoded_equals(colour, colour.write(tmp_path, getattr(colour, form)()))


def test_plain_idx_with_dots_in_its_names(grey: Any, tmp_path: Path) -> None:
    files = {name.replace("-idx", ".idx"): content for name, content in grey.idx(gzipped=False).items()}
    assert decoded_equals(grey, grey.write(tmp_path, files))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 1, exclude_max=True), gzipped=st.booleans(), which=st.integers(0, 3))
def test_truncated_idx_is_named(grey: Any, keep: float, gzipped: bool, which: int) -> None:
    contents = grey.idx(gzipped=gzipped)
    name = sorted(contents)[which]
    contents[name] = contents[name][: int(len(contents[name]) * keep)]
    with pytest.raises(DatasetError, match=name):
        forms.decode(grey.entry, {key: forms.File(key, content) for key, content in contents.items()})


def test_endless_gzip_is_not_unpacked(grey: Any) -> None:
    contents = grey.idx()
    header = grey.idx(gzipped=False)["train-images-idx3-ubyte"][:16]
    contents["train-images-idx3-ubyte.gz"] = gzip.compress(header + bytes(50 * 2**20))
    with pytest.raises(DatasetError, match="more than"):
        forms.decode(grey.entry, {name: forms.File(name, content) for name, content in contents.items()})


@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin"])
@pytest.mark.parametrize("change", [-1, 1])
def test_binary_of_wrong_length_is_named(colour: Any, tmp_path: Path, name: str, change: int) -> None:
    files = colour.binary()
    files[name] = files[name][:-1] if change < 0 else files[name] + b"x"
    with pytest.raises(DatasetError, match=name):
        forms.decode(colour.entry, forms.in_folder(colour.write(tmp_path, files)))


def test_incomplete_forms_name_what_is_missing(grey: Any, colour: Any, tmp_path: Path) -> None:
    files = grey.idx()
    del files["t10k-labels-idx1-ubyte.gz"]
    with pytest.raises(DatasetError, match="idx files are incomplete: no t10k-labels-idx1-ubyte"):
        forms.decode(grey.entry, forms.in_folder(grey.write(tmp_path / "grey", files)))
    files = colour.png()
    del files["train_lables.json"]
    with pytest.raises(DatasetError, match=r"png files are incomplete: no train_lables\.json"):
        forms.decode(colour.entry, forms.in_folder(colour.write(tmp_path / "colour", files)))


def test_pickles_are_not_loaded_and_said_so(colour: Any, tmp_path: Path) -> None:
    colour.write(tmp_path, {"data_batch_1": b"\x80\x04.", "test_batch": b"\x80\x04."})
    with pytest.raises(DatasetError, match="pickled files, which are never loaded") as caught:
        forms.decode(colour.entry, forms.in_folder(tmp_path))
    assert "cifar-10-binary.tar.gz" in caught.value.hint


def test_npz_with_objects_is_refused(grey: Any, tmp_path: Path) -> None:
    arrays = dict(grey.arrays, x_train=np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "grey.npz", **arrays)
    with pytest.raises(DatasetError, match=r"grey\.npz: damaged"):
        forms.decode(grey.entry, forms.in_folder(tmp_path))


def test_archives_write_nothing_and_follow_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"secret")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("../evil.txt", "/tmp/bakeoff-evil.txt", "../../test_batch.bin", "notes.txt"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    files = forms.in_archive("bad.tar.gz", io.BytesIO(buffer.getvalue()))
    assert {name: file.content for name, file in files.items()} == {"test_batch.bin": b"evil"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", "secret"]
    assert not Path("/tmp/bakeoff-evil.txt").exists()


def test_huge_member_is_refused_unread() -> None:
    header = tarfile.TarInfo("data_batch_1.bin")
    header.size = 2**40
    with pytest.raises(DatasetError, match=r"bad\.tar: data_batch_1\.bin unpacks to 1,099,511,627,776 bytes"):
        forms.in_archive("bad.tar", io.BytesIO(header.tobuf()))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_archive_is_named(colour: Any, tmp_path: Path, keep: float) -> None:
    (content,) = colour.archive().values()
    colour.write(tmp_path, {"cifar-10-binary.tar.gz": content[: int(len(content) * keep)]})
    with pytest.raises(DatasetError, match=r"cifar-10-binary\.tar\.gz"):
        forms.decode(colour.entry, forms.in_folder(tmp_path))
