"""The report in a real browser: every figure drawn, nothing complained of, nothing fetched."""

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # spread_study serves several test files

import spread_study

from bakeoff.report import Frames, render

# A crowded machine may take Chromium's page from it; a page that is at fault fails twice.
pytestmark = pytest.mark.flaky(reruns=1, only_rerun=["Gone"])


class Gone(RuntimeError):
    """The browser or its page has ended, or answers no more."""


def find() -> str | None:
    """Path of a Chromium or Chrome, if there is one."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    return None


# Chromium reads commands from descriptor 3 and writes to descriptor 4.
_CONNECT = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One tab. errors: exceptions and console errors; requests: addresses that the page asked for."""

    def __init__(self, executable: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        flags = ("--headless=new", "--hide-scrollbars", "--no-sandbox", "--disable-gpu")
        flags += ("--disable-dev-shm-usage", "--remote-debugging-pipe")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _CONNECT, str(to_child), str(from_child)),
                *(executable, *flags, f"--user-data-dir={self._profile.name}", "about:blank"),
            ],
            pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_child)
        os.close(from_child)
        self._buffer, self._number, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []

    def __enter__(self) -> "Browser":
        try:
            pages = [one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page"]
            target = pages[0]["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network", "Inspector"):
                self._call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove its profile."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        self._profile.cleanup()

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of `width` pixels."""
        self.errors.clear()
        self.requests.clear()
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=path.resolve().as_uri())
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def scroll_through(self) -> None:
        """Scroll from top to bottom, as a reader does, and back."""
        bottom = False
        position = 0
        while not bottom:
            self.evaluate(f"scrollTo({{top: {position}, behavior: 'instant'}})")
            self.evaluate(
                "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
            )
            position += 600
            bottom = self.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
        self.evaluate("scrollTo({top: 0, behavior: 'instant'})")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise's value once it has one."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def until(self, script: str, timeout_s: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + timeout_s
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}")
            time.sleep(0.1)

    def click(self, element: str) -> None:
        """Click in the middle of an element, given as a JavaScript expression."""
        self.evaluate(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.evaluate(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])({element}.getBoundingClientRect())"
        )
        place = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, **place)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a PNG of the page."""
        metrics = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": metrics["width"], "height": metrics["height"], "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip} if whole else {}
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", **options)["data"]))

    # ---- the protocol -------------------------------------------------------------------------------

    def _call(self, method: str, **params: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        remaining = json.dumps(message).encode() + b"\0"
        while remaining:
            remaining = remaining[os.write(self._out, remaining) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _receive(self) -> Any:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], 120)
            chunk = os.read(self._in, 1 << 16) if ready else b""
            if not chunk:
                raise Gone("the browser has ended" if ready else "the browser does not answer")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Any) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Inspector.targetCrashed":
            raise Gone("the page crashed")
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:1000])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(params["args"])[:1000])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(json.dumps(params["entry"])[:1000])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])


@pytest.fixture
def browser() -> Iterator[Browser]:
    executable = find()
    if executable is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with Browser(executable) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


SHOWN = "[...document.querySelectorAll('.chart')].filter(chart => chart.offsetParent)"
DRAWN = f"{SHOWN}.every(chart => chart.dataset.state === 'drawn')"
CHOICES = "[...document.querySelectorAll('[data-choose]')]"


def look(browser: Browser, page: Path, width: int, dark: bool) -> None:
    """Read the page as a person does: open, scroll through; nothing may be amiss."""
    browser.open(page, width=width, dark=dark)
    for number in range(max(1, browser.evaluate(f"{CHOICES}.length"))):
        browser.evaluate(f"{CHOICES}[{number}]?.click()")
        browser.scroll_through()
        browser.until(DRAWN)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    empty = (
        "[...document.querySelectorAll('.chart')].filter(c => !c.querySelector('svg path[d]')).map(c => c.id)"
    )
    assert browser.evaluate(empty) == []
    wide = (
        "[...document.querySelectorAll('.chart svg')]"
        ".filter(s => s.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert browser.evaluate(wide) == 0


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_every_figure_is_drawn(
    browser: Browser, pages: Path, race: Callable[..., Frames], width: int, dark: bool
) -> None:
    page = pages / "race.html"
    if not page.exists():
        render(race(datasets=("mnist", "cifar10"), epochs=60, repeats=3), page)
    look(browser, page, width, dark)
    assert browser.evaluate("document.querySelectorAll('.chart').length") == 1 + 2 * 8
    assert browser.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_distributed_runs_are_drawn(browser: Browser, pages: Path, width: int, dark: bool) -> None:
    page = pages / "spread.html"
    if not page.exists():
        trials = [
            spread_study.Trial(
                backend,
                layout,
                skipped=150 if layout == "4x5" else 0,
                num_failed=1,
                label=label,
                changes=changes,
            )
            for backend in ("theano", "tensorflow1")
            for layout in ("5x4", "4x5", "")
            for scale in ((1, 4) if layout != "4x5" else (1,))
            for changes in [{"environment": "vintage_spark", "data_scale": scale}]
            for label in [f"mnist · {backend} · {layout or 'one machine'} · data scale {scale}"]
        ]
        render(spread_study.frames(pages / "spread.sqlite", trials), page)
    look(browser, page, width, dark)
    drawn = browser.evaluate("[...document.querySelectorAll('#section-mnist-cluster .chart')].length")
    assert drawn == 5 + 4  # totals, tasks, budget, speed-up, data scale; and four timelines


@pytest.mark.slow
def test_edge_cases_are_drawn(
    browser: Browser, pages: Path, race: Callable[..., Frames], invented: Callable[..., Frames], trial: Any
) -> None:
    both = [spread_study.Trial("theano", layout) for layout in ("2x1", "")]
    label = "<b>fast</b> & “ünï” · </script><script>console.error('escaped')</script>"
    cases = {
        "one-spread": spread_study.frames(pages / "one-spread.sqlite", both, repeats=1),
        "one-repeat": race(repeats=1, epochs=3),
        "one-epoch": race(repeats=2, epochs=1),
        "one-contestant": race(backends=("jax",)),
        "gpu": race(device=True),
        "labels": invented([trial("jax", label=label), trial("torch", label="x' \" onload=alert(1)")]),
        "sweep": invented(
            [
                trial(backend, label=f"{backend} · batch {size}", changes={"global_batch_size": size})
                for backend in ("jax", "torch")
                for size in (50, 100, 200)
            ],
            repeats=3,
        ),
        "many": race(repeats=50, epochs=20),
    }
    for name, frames in cases.items():
        look(browser, render(frames, pages / f"{name}.html"), 1000, False)


@pytest.mark.slow
def test_the_page_can_be_used(browser: Browser, pages: Path, race: Callable[..., Frames]) -> None:
    look(browser, render(race(epochs=20), pages / "used.html"), 1200, False)

    # Another scale: the axis gets other numbers.
    figure = "document.getElementById('figure-section-mnist-error')"
    labels = f"{figure}.querySelector('svg').textContent"
    before = browser.evaluate(labels)
    browser.evaluate(f"{figure}.parentElement.querySelector('.scale').click()")
    browser.until(f"{labels} !== {json.dumps(before)}")
    assert browser.evaluate(f"{figure}.parentElement.querySelector('.scale').ariaPressed") == "true"

    # A click in the legend dims the other contestants.
    lines = f"[...{figure}.querySelectorAll('.mark-line path')]"
    dimmed = f"{lines}.filter(line => line.getAttribute('opacity') < 0.5).length"
    assert (
        browser.evaluate(dimmed)
        == browser.evaluate(f"{figure}.querySelectorAll('.mark-line path').length") - 4
    )  # four means; the single runs are faint anyway
    browser.click(
        f"[...{figure}.querySelectorAll('.role-legend-label text')].find(t => t.textContent === 'jax')"
    )
    browser.until(f"{dimmed} === {figure}.querySelectorAll('.mark-line path').length - 1")

    # The other colours.
    browser.evaluate("document.getElementById('theme').click()")
    browser.until("document.documentElement.dataset.theme === 'dark'")
    browser.until(DRAWN)
    assert browser.errors == []


@pytest.mark.slow
def test_a_page_of_three_data_sets_is_short_and_switches(
    browser: Browser, pages: Path, race: Callable[..., Frames]
) -> None:
    frames = race(datasets=("mnist", "fashion_mnist", "cifar10"), epochs=2, repeats=2)
    look(browser, render(frames, pages / "three.html"), 1440, False)
    assert browser.evaluate("document.documentElement.scrollHeight") <= 8000
    assert browser.evaluate("document.querySelector('.chart').getBoundingClientRect().bottom + scrollY") < 900
    shown = (
        "[...document.querySelectorAll('section.part[data-section]')].filter(p => !p.hidden).map(p => p.id)"
    )
    assert browser.evaluate(shown) == ["section-cifar10"], "the one chosen last"
    browser.evaluate("location.hash = '#section-mnist-times'")
    browser.until(f"{shown}[0] === 'section-mnist'")

    # A table as CSV, with what spans rows in each of them.
    browser.evaluate(
        "window.made = []; URL.createObjectURL = (blob) => { window.made.push(blob); return '#'; }"
    )
    browser.evaluate("document.querySelector('[data-table=\"table-summary-mnist\"]').click()")
    lines = browser.evaluate("window.made[0].text()").splitlines()
    assert lines[0].startswith("Metric,Contestant,Repeats,Mean,95 % interval")
    assert sum(line.startswith("Training time (s),") for line in lines) == 4
    browser.evaluate("document.querySelector('[data-figure=\"figure-section-mnist-error\"]').click()")
    lines = browser.evaluate("window.made[1].text()").splitlines()
    assert "contestant" in lines[0].split(",") and len(lines) == 1 + 4 * 2

    # On paper everything is open.
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("document.querySelectorAll('details.table[open]').length") == 0


@pytest.mark.slow
def test_headings_tables_and_figures_have_names(
    browser: Browser, pages: Path, race: Callable[..., Frames]
) -> None:
    look(browser, render(race(epochs=3), pages / "names.html"), 1200, False)
    parts = "[...document.querySelectorAll('.chart, .scroll, button')]"
    assert browser.evaluate(f"{parts}.filter(e => !(e.ariaLabel || e.textContent)).length") == 0
    assert browser.evaluate("[...document.querySelectorAll('th')].filter(th => !th.scope).length") == 0
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in itertools.pairwise(levels))
