"""The sources in their order, their failures in one message, and the cache that they fill."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff.datasets import entries, prepare, sources
from bakeoff.datasets.catalogue import Package
from bakeoff.datasets.sources import Surroundings
from bakeoff.errors import DatasetError, MachineError


def right(tiny: Any, prepared: Any) -> bool:
    return all(
        np.array_equal(np.load(prepared.path / f"{name}.npy"), array) for name, array in tiny.arrays.items()
    )


def about(prepared: Any) -> dict[str, Any]:
    return json.loads((prepared.path / "about.json").read_text())  # type: ignore[no-any-return]


def test_named_directory_then_cache(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    mine = grey.write(tmp_path / "mine", grey.idx())
    first = prepare.prepare_entry(grey.entry, dataclasses.replace(around, directory=mine))
    assert right(grey, first)
    assert (first.num_classes, first.image_shape, first.num_train, first.num_test) == (10, (6, 4, 1), 20, 5)
    assert about(first)["source"] == {"kind": "directory", "detail": str(mine)}
    assert about(first)["arrays"]["x_test"] == {
        "shape": [5, 6, 4, 1],
        "dtype": "uint8",
        "sha256": grey.entry.sha256["x_test"],
    }
    assert prepare.prepare_entry(grey.entry, around) == first  # nothing but the cache is left
    assert [path.name for path in sorted((around.root / "datasets").iterdir())] == [".locks", "grey"]


def test_named_directory_may_be_one_file_or_hold_the_set_in_a_folder(
    colour: Any, around: Surroundings, tmp_path: Path
) -> None:
    colour.write(tmp_path / "keras" / "colour", colour.archive())
    for place in (tmp_path / "keras", tmp_path / "keras" / "colour" / "cifar-10-binary.tar.gz"):
        obtained = sources.from_directory(colour.entry, dataclasses.replace(around, directory=place))
        assert np.array_equal(obtained.arrays["x_train"], colour.arrays["x_train"])


def test_files_of_a_system_package(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    grey.write(tmp_path / "share" / "grey", grey.idx())
    system = dataclasses.replace(around, system_folders=(tmp_path / "none", tmp_path / "share"))
    prepared = prepare.prepare_entry(grey.entry, system)
    assert right(grey, prepared) and about(prepared)["source"]["kind"] == "system"


def test_other_data_in_the_right_form_are_refused_by_name(
    grey: Any, around: Surroundings, tmp_path: Path
) -> None:
    files = grey.idx(gzipped=False)
    tampered = bytearray(files["train-images-idx3-ubyte"])
    tampered[-1] ^= 1
    grey.write(tmp_path / "mine", files | {"train-images-idx3-ubyte": bytes(tampered)})
    with pytest.raises(
        DatasetError, match=r"train-images-idx3-ubyte: not the true grey: the sha256 of its x_train"
    ):
        prepare.prepare_entry(grey.entry, dataclasses.replace(around, directory=tmp_path / "mine"))


def test_mirror_after_a_tampered_one(grey: Any, around: Surroundings, server: Any) -> None:
    from types import SimpleNamespace

    how = {"ranges": True, "etag": '"one"', "claim": None, "check_if_range": True, "status": 200}
    for mirror in ("bad/", "good/"):
        for name, content in grey.idx().items():
            wrong = (
                grey.idx()["t10k-images-idx3-ubyte.gz"]
                if mirror == "bad/" and "train-im" in name
                else content
            )
            server.files[f"{mirror}grey/{name}"] = SimpleNamespace(content=wrong, drop_after=[], **how)
    seen: list[Any] = []
    mirrors = (server.url + "bad/", server.url + "good/")
    prepared = prepare.prepare_entry(
        grey.entry, dataclasses.replace(around, mirrors=mirrors, listener=seen.append)
    )
    assert right(grey, prepared)
    assert about(prepared)["source"] == {"kind": "mirrors", "detail": server.url + "good/grey/"}
    loading = [step for step in seen if step.step.startswith("downloading train-images")]
    assert loading[-1].done_bytes == loading[-1].total_bytes == len(grey.idx()["train-images-idx3-ubyte.gz"])
    assert not list((around.root / "datasets").glob(".downloads/*/*"))


def test_own_mirror_and_places_from_the_environment(tmp_path: Path) -> None:
    around = Surroundings.of_this_machine(
        environ={
            "BAKEOFF_MIRROR": "http://mirror.example/data",
            "BAKEOFF_CACHE": str(tmp_path),
            "XDG_DATA_DIRS": "/a:/b",
        }
    )
    assert around.mirrors == ("http://mirror.example/data/",)
    assert around.root == tmp_path
    assert around.system_folders == (Path("/a/datasets"), Path("/b/datasets"))
    assert Surroundings.of_this_machine(environ={"HOME": "/"}).mirrors is None


def test_all_failing_sources_are_told_in_one_error(
    grey: Any, around: Surroundings, server: Any, tmp_path: Path
) -> None:
    entry = dataclasses.replace(grey.entry, packages=(Package("apt", "bakeoff-no-such-package", 1),))
    around = dataclasses.replace(
        around,
        directory=tmp_path / "none",
        mirrors=(server.url, "http://127.0.0.1:1/"),
        system_folders=(tmp_path,),
    )
    with pytest.raises(DatasetError) as caught:
        prepare.prepare_entry(entry, around)
    lines = caught.value.message.splitlines()
    assert lines[0] == "grey can't be had:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "cache", "directory", "system", "mirrors", "mirrors", "packages",
    ]  # fmt: skip
    assert "no such folder" in lines[2] and "answered 404" in lines[4] and "refused" in lines[5]
    assert "bakeoff data fetch grey --data-dir" in caught.value.hint and "BAKEOFF_MIRROR" in caught.value.hint


def test_damaged_cache_is_refused_by_name_and_mended(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    prepared = prepare.prepare_entry(grey.entry, supplied)
    damaged = prepared.path / "y_train.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DatasetError, match=r"cache: refused: .*y_train\.npy: the array's sha256 is"):
        prepare.prepare_entry(grey.entry, around)
    assert prepare.verify_in(around.root, "grey")[0].damaged[0].startswith(str(damaged))
    seen: list[Any] = []
    assert right(grey, prepare.prepare_entry(grey.entry, dataclasses.replace(supplied, listener=seen.append)))
    assert any("damaged" in step.step for step in seen)
    assert prepare.verify_in(around.root, "grey")[0].damaged == ()


@pytest.mark.parametrize("name", ["x_test.npy", "about.json"])
def test_lost_or_truncated_files_of_the_cache(
    grey: Any, around: Surroundings, tmp_path: Path, name: str
) -> None:
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    prepared = prepare.prepare_entry(grey.entry, supplied)
    for spoil in (lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:40])):
        spoil(prepared.path / name)
        assert name in prepare.verify_in(around.root, "grey")[0].damaged[0]
        assert right(grey, prepare.prepare_entry(grey.entry, supplied))


def test_failed_fetch_leaves_what_was_there(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    prepared = prepare.prepare_entry(grey.entry, supplied)
    with pytest.raises(DatasetError):
        prepare.prepare_entry(grey.entry, around, anew=True)
    assert right(grey, prepared)


def test_resized_entry_follows_the_whole_one(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    small = prepare.prepare_entry(grey.entry, supplied, 3)
    assert small.path.name == "grey@3" and small.image_shape == (3, 3, 1)
    assert np.array_equal(np.load(small.path / "y_train.npy"), grey.arrays["y_train"])
    assert about(small)["image_size"] == 3 and about(small)["resized_by"].startswith("Pillow")
    (small.path / "x_train.npy").write_bytes(b"")
    assert prepare.prepare_entry(grey.entry, around, 3) == small  # made anew from the whole one
    assert {found.key for found in prepare.verify_in(around.root, "grey")} == {"grey", "grey@3"}


@pytest.mark.parametrize("size", [0, -1, 5000])
def test_impossible_sizes(size: int, around: Surroundings) -> None:
    with pytest.raises(DatasetError, match="image_size"):
        prepare.prepare("mnist", around, size)


def test_no_room(grey: Any, around: Surroundings) -> None:
    vast = dataclasses.replace(grey.entry, files={"train-images-idx3-ubyte.gz": 2**60})
    with pytest.raises(
        MachineError, match=r"no room for grey .*MB free, expected at least 1,152,921,504,607 MB"
    ):
        prepare.prepare_entry(vast, around)


def test_cache_that_cannot_be_written(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MachineError, match="can't be written"):
        prepare.prepare_entry(grey.entry, dataclasses.replace(around, root=tmp_path / "file"))


def test_complete_cache_may_be_read_only(grey: Any, around: Surroundings, tmp_path: Path) -> None:
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    prepared = prepare.prepare_entry(grey.entry, supplied)
    locks = around.root / "datasets" / ".locks"
    shutil.rmtree(locks)
    locks.write_text("no folder, so that no lock can be taken; permissions wouldn't stop root")
    assert prepare.prepare_entry(grey.entry, around) == prepared


def test_unknown_names_and_sources(around: Surroundings) -> None:
    with pytest.raises(DatasetError, match="got fashion_mnits, expected one of mnist") as caught:
        prepare.prepare("fashion_mnits", around)
    assert caught.value.hint == "did you mean fashion_mnist?"
    with pytest.raises(
        DatasetError, match="source: got web, expected one of directory, system, mirrors, packages"
    ):
        prepare.fetch("mnist", source="web")
    with pytest.raises(DatasetError, match="not in the cache"):
        prepare.verify_in(around.root, "mnist")


def test_status_lists_known_sets_and_what_the_cache_has(
    grey: Any, around: Surroundings, tmp_path: Path
) -> None:
    prepare.prepare_entry(
        grey.entry, dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    )
    found = prepare.status_in(around.root)
    assert [one.key for one in found] == ["mnist", "fashion_mnist", "cifar10", "grey"]
    assert found[0].path is None and found[3].path == around.root / "datasets" / "grey"
    assert found[3].size_bytes > 25 * 24 and found[3].source.startswith("directory: ")


_PREPARE = """
import pickle, sys
from bakeoff.datasets import prepare
print(prepare.prepare_entry(*pickle.load(sys.stdin.buffer)).digest)
"""


def test_two_processes_fetch_once(grey: Any, around: Surroundings, server: Any) -> None:
    from types import SimpleNamespace

    for name, content in grey.idx().items():
        server.files[f"grey/{name}"] = SimpleNamespace(
            content=content, drop_after=[], ranges=True, etag="", claim=None, check_if_range=True, status=200
        )
    around = dataclasses.replace(around, mirrors=(server.url,))
    processes = [
        subprocess.Popen([sys.executable, "-c", _PREPARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(pickle.dumps((grey.entry, around)))
        process.stdin.close()
        process.stdin = None
    digests = {process.communicate(timeout=60)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert len(digests) == 1
    assert sorted(path for path, _ in server.requests) == sorted(f"/grey/{name}" for name in grey.idx())


def test_waiting_for_another_holder_is_told(around: Surroundings) -> None:
    held, waited = threading.Event(), threading.Event()

    def hold() -> None:
        with entries.lock(around.root, "grey", lambda: None):
            held.set()
            waited.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    with entries.lock(around.root, "grey", waited.set):  # set only when told to wait: else this hangs
        assert waited.is_set()
    other.join()
