"""Where the cache is, by environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bakeoff import cache


def test_own_variable_wins() -> None:
    assert cache.root({"BAKEOFF_CACHE": "/data/bake", "XDG_CACHE_HOME": "/xdg"}) == Path("/data/bake")
    assert cache.root({"BAKEOFF_CACHE": "~/bake"}) == Path.home() / "bake"
    assert cache.root({"BAKEOFF_CACHE": "here"}) == Path.cwd() / "here"


def test_xdg_variable_is_next_unless_relative() -> None:
    assert cache.root({"XDG_CACHE_HOME": "/xdg", "BAKEOFF_CACHE": ""}) == Path("/xdg/bakeoff")
    assert cache.root({"XDG_CACHE_HOME": "xdg"}) == cache.root({})


@pytest.mark.skipif(sys.platform != "linux", reason="each platform has its own place")
def test_platform_default() -> None:
    assert cache.root({}) == Path.home() / ".cache" / "bakeoff"
