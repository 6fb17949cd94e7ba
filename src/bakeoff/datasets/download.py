"""One file over HTTP: resumed where it broke off, whole or not at all.

What arrives is checked by the caller, who knows the hash of what is inside; here only lengths are.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from bakeoff.errors import DatasetError

# A machine behind a firewall that swallows packets must get to the next source soon.
CONNECT_TIMEOUT_S = 3.05
READ_TIMEOUT_S = 20.0
_CHUNK_BYTES = 2**18
# Tries in a row that bring not one byte; a line that drops often but moves on is not given up.
_FRUITLESS_TRIES = 3
RETRY_DELAY_S = 0.5

OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True)
class _Partial:
    """What is known of a file half downloaded.

    validator: strong ETag or date that the server gave it; empty if it gave none, and then the file
    can't be resumed.
    """

    url: str
    validator: str


class _Broken(Exception):
    """The transfer broke off; trying again may help."""


def fetch(
    url: str, target: Path, *, limit_bytes: int, on_bytes: OnBytes, retry_delay_s: float = RETRY_DELAY_S
) -> None:
    """The file at `url`, in `target`. A half that an earlier call left is gone on with if the server's
    file is still the same.

    limit_bytes: more than any right file has; a longer one is refused. on_bytes: told bytes done and
    in total, None if the server doesn't say. retry_delay_s: pause before a second try that brings
    nothing; before a third, twice as long.

    Raises:
        DatasetError: unreachable, refused, too long, or broken off again and again.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    fruitless = 0
    furthest = 0
    with requests.Session() as session:
        while True:
            try:
                _transfer(session, url, part, limit_bytes, on_bytes)
                break
            except (_Broken, requests.ConnectionError, requests.Timeout) as error:
                if furthest == 0 and not isinstance(error, _Broken):  # it never spoke to us: don't insist
                    raise DatasetError(f"{url}: {_reason(error)}") from error
                fruitless = 0 if _size(part) > furthest else fruitless + 1
                furthest = max(furthest, _size(part))
                if fruitless == _FRUITLESS_TRIES:
                    raise DatasetError(
                        f"{url}: {_reason(error)}", "try again; what has come is kept"
                    ) from error
                time.sleep(retry_delay_s * fruitless)
            except requests.RequestException as error:
                raise DatasetError(f"{url}: {_reason(error)}") from error
    with part.open("rb") as whole:
        os.fsync(whole.fileno())
    part.replace(target)
    discard(target)


def discard(target: Path) -> None:
    """Forget what an unfinished download of `target` left."""
    target.with_name(target.name + ".part").unlink(missing_ok=True)
    target.with_name(target.name + ".part.json").unlink(missing_ok=True)


def unreachable(urls: Sequence[str], within_s: float = 5.0) -> Mapping[str, str]:
    """Why addresses can't be reached, by address; all are tried at once, in `within_s` seconds at most.

    Any answer counts as reachable. Daemon threads, since a name server may keep a thread for minutes.
    """
    verdicts: dict[str, str] = dict.fromkeys(urls, f"no answer within {within_s:g} s")

    def probe(url: str) -> None:
        try:
            requests.head(url, timeout=(CONNECT_TIMEOUT_S, within_s)).close()
            del verdicts[url]
        except requests.RequestException as error:
            verdicts[url] = _reason(error)

    threads = [threading.Thread(target=probe, args=(url,), daemon=True) for url in verdicts]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(verdicts)


def _transfer(session: requests.Session, url: str, part: Path, limit_bytes: int, on_bytes: OnBytes) -> None:
    """Bring `part` to the file's end, from where it is if that is safe, else from the start."""
    note = part.with_name(part.name + ".json")
    known = _read_note(note, url)
    offset = _size(part) if known else 0
    headers = {"Accept-Encoding": "identity"}
    if known and offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": known.validator}
    timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    with session.get(url, headers=headers, timeout=timeout, stream=True) as response:
        if response.status_code == 416:  # nothing after our last byte: either whole, or not the same file
            if response.headers.get("Content-Range") == f"bytes */{offset}":
                return
            part.unlink(missing_ok=True)
            raise _Broken("the file on the server changed")
        if response.status_code in (429, 500, 502, 503, 504):
            raise _Broken(f"answered {response.status_code} {response.reason}")
        response.raise_for_status()
        if response.status_code == 206:
            start, total = _content_range(response)
            if start != offset or (known and _validator(response) not in ("", known.validator)):
                part.unlink(missing_ok=True)
                raise _Broken(f"answered bytes from {start}, asked from {offset}, or the file changed")
        else:  # the whole file, whether or not a part was asked for
            offset, total = 0, _length(response)
            part.unlink(missing_ok=True)
            note.write_text(json.dumps(asdict(_Partial(url, _validator(response)))), encoding="utf-8")
        if total is not None and total > limit_bytes:
            raise DatasetError(f"{url}: got {total:,} bytes, expected at most {limit_bytes:,}")
        _append(response, url, part, offset, total, limit_bytes, on_bytes)


def _append(
    response: requests.Response,
    url: str,
    part: Path,
    done: int,
    total: int | None,
    limit_bytes: int,
    on_bytes: OnBytes,
) -> None:
    on_bytes(done, total)
    try:
        with part.open("ab") as file:
            # Not iter_content, which loses what has come of a chunk when the connection breaks.
            while chunk := response.raw.read1(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                if done > limit_bytes:
                    part.unlink()
                    raise DatasetError(f"{url}: got more than {limit_bytes:,} bytes, expected fewer")
                on_bytes(done, total)
    except urllib3.exceptions.HTTPError as error:
        raise _Broken(f"broke off after {_size(part):,} of {_count(total)} bytes") from error
    if total is not None and done != total:
        raise _Broken(f"ended after {done:,} of {total:,} bytes")


def _read_note(note: Path, url: str) -> _Partial | None:
    """What an earlier try noted, if its part may be gone on with."""
    try:
        known = _Partial(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return known if known.url == url and known.validator else None


def _validator(response: requests.Response) -> str:
    """What If-Range may compare: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _content_range(response: requests.Response) -> tuple[int, int | None]:
    """First byte and total of ``bytes 100-199/200``."""
    try:
        span, _, total = response.headers["Content-Range"].removeprefix("bytes ").partition("/")
        return int(span.partition("-")[0]), None if total == "*" else int(total)
    except (KeyError, ValueError) as error:
        raise _Broken("answered a part without saying which") from error


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _count(total: int | None) -> str:
    return "unknown" if total is None else f"{total:,}"


def _reason(error: Exception) -> str:
    """An exception in the few words that a person needs; requests' own wrap several layers."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses or can't be reached"
    if isinstance(error, requests.exceptions.SSLError):
        return f"no trusted connection ({_innermost(error)})"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"no data for {READ_TIMEOUT_S:.0f} s"
    if isinstance(error, requests.ConnectionError):
        return f"no connection ({_innermost(error)})"
    return str(error)


def _innermost(error: BaseException) -> str:
    inner: Any = error
    while (deeper := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) is not None:
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return str(inner.strerror if isinstance(inner, OSError) and inner.strerror else inner)


def host(url: str) -> str:
    """The address's host, for messages."""
    return urlsplit(url).netloc
