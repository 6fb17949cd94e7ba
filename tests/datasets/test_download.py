"""One file over HTTP, from a server on the loopback address that misbehaves."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakeoff.datasets import download
from bakeoff.errors import DatasetError

CONTENT = bytes(range(256)) * 400 + b"the last chunk is not full"  # 102,426 bytes


def fetch(url: str, target: Path, limit_bytes: int = 10**6) -> list[tuple[int, int | None]]:
    seen: list[tuple[int, int | None]] = []
    download.fetch(
        url, target, limit_bytes=limit_bytes, on_bytes=lambda *counts: seen.append(counts), retry_delay_s=0
    )
    return seen


@pytest.fixture
def served(server: Any) -> Any:
    """The server's one file, as the test wants it."""
    from types import SimpleNamespace

    def serve(content: bytes = CONTENT, **how: Any) -> str:
        base = SimpleNamespace(
            ranges=True, etag='"one"', drop_after=[], claim=None, check_if_range=True, status=200
        )
        server.files["file"] = SimpleNamespace(**{**vars(base), "content": content, **how})
        return f"{server.url}file"

    return serve


def test_whole_file_with_progress(served: Any, tmp_path: Path) -> None:
    seen = fetch(served(), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_dropped_connection_is_gone_on_with(served: Any, server: Any, tmp_path: Path) -> None:
    fetch(served(drop_after=[30_000, 20_000]), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [span for _, span in server.requests] == ["", "bytes=30000-", "bytes=50000-"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, 40_000), max_size=4),
    ranges=st.booleans(),
    etag=st.sampled_from(["", '"a"', 'W/"a"']),
)
def test_wherever_it_breaks_the_file_is_right_or_refused(
    served: Any, tmp_path: Path, cuts: list[int], ranges: bool, etag: str
) -> None:
    target = tmp_path / "file"
    target.unlink(missing_ok=True)
    download.discard(target)
    url = served(drop_after=list(cuts), ranges=ranges, etag=etag)
    try:
        fetch(url, target)
    except DatasetError:
        assert len(cuts) >= 3 and not target.exists()
    else:
        assert target.read_bytes() == CONTENT


def test_interrupted_process_is_gone_on_with_by_the_next(served: Any, server: Any, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        if done:
            raise Stop

    content = CONTENT * 10
    url = served(content)
    with pytest.raises(Stop):
        download.fetch(url, tmp_path / "file", limit_bytes=10**7, on_bytes=stop)
    assert not (tmp_path / "file").exists()
    fetch(url, tmp_path / "file", 10**7)
    assert (tmp_path / "file").read_bytes() == content
    assert server.requests[-1][1].startswith("bytes=") and server.requests[-1][1] != "bytes=0-"


@pytest.mark.parametrize("check_if_range", [True, False], ids=["server obeys If-Range", "server ignores it"])
def test_file_that_changed_in_between_is_fetched_from_the_start(
    served: Any, tmp_path: Path, check_if_range: bool
) -> None:
    with pytest.raises(DatasetError):
        fetch(served(drop_after=[30_000, 0, 0, 0]), tmp_path / "file")
    fetch(served(CONTENT[::-1], etag='"two"', check_if_range=check_if_range), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


def test_half_from_another_address_is_not_gone_on_with(served: Any, server: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        fetch(served(drop_after=[30_000, 0, 0, 0]), tmp_path / "file")
    url = served()
    server.files["other"] = server.files["file"]
    fetch(url.replace("file", "other"), tmp_path / "file")
    assert server.requests[-1] == ("/other", "")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_length_claimed_too_long_is_settled_by_asking_for_the_rest(served: Any, tmp_path: Path) -> None:
    fetch(served(claim=len(CONTENT) + 500), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_length_claimed_too_long_without_ranges_is_refused(served: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"broke off after 102,426 of 102,926 bytes"):
        fetch(served(claim=len(CONTENT) + 500, ranges=False), tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_file_longer_than_any_right_one_is_refused(served: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected at most 1,000"):
        fetch(served(), tmp_path / "file", limit_bytes=1000)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, 3)])
def test_refusals(served: Any, server: Any, tmp_path: Path, status: int, tries: int) -> None:
    with pytest.raises(DatasetError, match=f"answered {status}"):
        fetch(served(status=status), tmp_path / "file")
    assert len(server.requests) == tries


def test_closed_port_fails_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DatasetError, match="Connection refused"):
        fetch(f"http://127.0.0.1:{port}/file", tmp_path / "file")


def test_silent_servers_are_given_up_together_within_the_time(server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as mute:  # accepts, and never says a word
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        silent = [f"{url}{i}" for i in range(4)]
        before = time.monotonic()
        verdicts = download.unreachable([*silent, server.url], within_s=0.5)
        assert time.monotonic() - before < 1.9  # one after the other would be 2 s
    assert set(verdicts) == set(silent)
