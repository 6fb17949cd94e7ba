"""Tiny data sets in every form, and a loopback server that misbehaves on request."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bakeoff.datasets.catalogue import ARRAYS, Entry, Package
from bakeoff.datasets.sources import Surroundings

IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Tiny:
    """A catalogue entry of a few images, its right arrays, and the files of each form."""

    entry: Entry
    arrays: Mapping[str, Any]

    def write(self, folder: Path, files: Mapping[str, bytes]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    def idx(self, *, gzipped: bool = True) -> dict[str, bytes]:
        plain = {}
        for stem, name in zip(IDX, ARRAYS, strict=True):
            array = self.arrays[name].reshape(self.entry.shape(name)[:3])
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            plain[stem] = header + array.tobytes()
        return {f"{k}.gz": gzip.compress(v, mtime=0) for k, v in plain.items()} if gzipped else plain

    def binary(self) -> dict[str, bytes]:
        files = {}
        for name, x, y in self._batches():
            planes = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
            files[f"{name}.bin"] = np.concatenate([y[:, None], planes], axis=1).astype(np.uint8).tobytes()
        return files

    def png(self) -> dict[str, bytes]:
        files = {}
        for name, x, _ in self._batches():
            sheet = io.BytesIO()
            Image.fromarray(x.reshape(len(x), -1, 3)).save(sheet, "PNG")
            files[f"{name}.png"] = sheet.getvalue()
        files["train_lables.json"] = json.dumps(self.arrays["y_train"].tolist()).encode()
        files["test_lables.json"] = json.dumps(self.arrays["y_test"].tolist()).encode()
        return files

    def npz(self) -> dict[str, bytes]:
        buffer = io.BytesIO()
        np.savez(buffer, **self.arrays)
        return {f"{self.entry.name}.npz": buffer.getvalue()}

    def archive(self) -> dict[str, bytes]:
        return {
            "cifar-10-binary.tar.gz": tar_gz(
                {f"cifar-10-batches-bin/{k}": v for k, v in self.binary().items()}
            )
        }

    def _batches(self) -> Iterator[tuple[str, Any, Any]]:
        for i, (x, y) in enumerate(
            zip(np.split(self.arrays["x_train"], 5), np.split(self.arrays["y_train"], 5), strict=True)
        ):
            yield f"data_batch_{i + 1}", x, y
        yield "test_batch", self.arrays["x_test"], self.arrays["y_test"]


def tar_gz(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _tiny(name: str, image_shape: tuple[int, int, int], files: Mapping[str, int], seed: int) -> Tiny:
    random = np.random.default_rng(seed)
    arrays = {
        "x_train": random.integers(0, 256, (20, *image_shape), np.uint8),
        "y_train": random.integers(0, 10, 20, np.uint8),
        "x_test": random.integers(0, 256, (5, *image_shape), np.uint8),
        "y_test": random.integers(0, 10, 5, np.uint8),
    }
    entry = Entry(
        name=name,
        title=f"Tiny {name}",
        class_names=tuple("abcdefghij"),
        image_shape=image_shape,
        num_train=20,
        num_test=5,
        sha256={array: hashlib.sha256(arrays[array].tobytes()).hexdigest() for array in ARRAYS},
        folders=(name,),
        files=files,
        mirrors=(),
        packages=(),
        homepage="",
        licence="",
        citation="",
    )
    return Tiny(entry, arrays)


@pytest.fixture
def grey() -> Tiny:
    """20 + 5 images of 6 x 4 in grey, in MNIST's forms."""
    return _tiny("grey", (6, 4, 1), {f"{stem}.gz": 700 for stem in IDX}, seed=1)


@pytest.fixture
def colour() -> Tiny:
    """20 + 5 images of 4 x 4 in colour, in CIFAR-10's forms."""
    return _tiny("colour", (4, 4, 3), {"cifar-10-binary.tar.gz": 3000}, seed=2)


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    """An empty cache and no sources."""
    return Surroundings(root=tmp_path / "cache", mirrors=())


@pytest.fixture
def absent_package() -> Package:
    """A package whose registry client exists nowhere useful."""
    return Package("npm", "bakeoff-no-such-package@0.0.1", 10)


@dataclass
class Served:
    """One file of the server, and how it is to be served.

    ranges: honour Range. etag: empty sends none. drop_after: bytes after which connections are cut, one
    element per request, from the first on. claim: a Content-Length other than the true one.
    check_if_range: send the whole file if it changed, as HTTP says.
    """

    content: bytes
    ranges: bool = True
    etag: str = '"one"'
    drop_after: list[int] = field(default_factory=list)
    claim: int | None = None
    check_if_range: bool = True
    status: int = 200


@dataclass
class Server:
    """url: base address, ends in a slash. requests: (path, Range header or empty), GETs only."""

    url: str
    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.requests.append((self.path, asked))
            self.close_connection = True
            served = state.files.get(self.path.lstrip("/"))
            if served is None or served.status != 200:
                self.send_error(404 if served is None else served.status)
                return
            same = not served.check_if_range or self.headers.get("If-Range") == served.etag
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges and same else 0
            if start and start >= len(served.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = served.content[start:]
            self.send_response(206 if start else 200)
            if start:
                total = len(served.content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if served.etag:
                self.send_header("ETag", served.etag)
            self.send_header("Content-Length", str(len(body) if served.claim is None else served.claim))
            self.end_headers()
            self.wfile.write(body[: served.drop_after.pop(0)] if served.drop_after else body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{http.server_port}/")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()
