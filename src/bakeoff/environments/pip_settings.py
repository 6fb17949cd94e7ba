"""The user's pip settings in uv's words, so that packages come from where pip would get them.

uv reads nothing of pip's. What the user told uv itself (``UV_*``, ``uv.toml``) wins, setting by setting.
"""

from __future__ import annotations

import configparser
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class UvSettings:
    """variables: to be set for uv, none of which the user has set. arguments: for its install commands."""

    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()


def uv_settings(
    environ: Mapping[str, str], pip: Mapping[str, str], uv_file: Mapping[str, object]
) -> UvSettings:
    """uv's settings that follow from pip's.

    pip: as from `read_pip`. uv_file: the user's ``uv.toml`` as from `read_uv_file`.
    """

    def free(*names: str) -> bool:
        """Whether the user told uv nothing by these variables or keys."""
        return not any(environ.get(name) or name in uv_file for name in names)

    variables: dict[str, str] = {}
    arguments: list[str] = []
    if pip.get("index-url") and free("UV_DEFAULT_INDEX", "UV_INDEX_URL", "index-url", "index"):
        variables["UV_DEFAULT_INDEX"] = pip["index-url"]
    if (extra := _reachable(pip.get("extra-index-url", ""))) and free(
        "UV_INDEX", "UV_EXTRA_INDEX_URL", "extra-index-url", "index"
    ):
        variables["UV_INDEX"] = " ".join(extra)
        # pip takes the best version from anywhere; uv stops at the first index that knows the package, which
        # may lack the pinned version. The hashes in the lock guard against a stranger's package of that name.
        if free("UV_INDEX_STRATEGY", "index-strategy"):
            variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if (links := _reachable(pip.get("find-links", ""))) and free("UV_FIND_LINKS", "find-links"):
        variables["UV_FIND_LINKS"] = ",".join(links)
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t") and free("no-index"):
        arguments.append("--no-index")
    if pip.get("trusted-host") and free("UV_INSECURE_HOST", "allow-insecure-host"):
        variables["UV_INSECURE_HOST"] = " ".join(pip["trusted-host"].split())
    timeout = pip.get("timeout") or pip.get("default-timeout")
    if timeout and free("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT"):
        variables["UV_HTTP_TIMEOUT"] = timeout.split(".")[0]
    for key, variable in (
        ("cert", "SSL_CERT_FILE"),
        ("client-cert", "SSL_CLIENT_CERT"),
        ("proxy", "ALL_PROXY"),
    ):
        if pip.get(key) and free(variable, variable.lower()):
            variables[variable] = pip[key]
    return UvSettings(variables, tuple(arguments))


def read_pip(environ: Mapping[str, str], files: tuple[Path, ...] | None = None) -> dict[str, str]:
    """pip's settings for ``pip install``: its files, later ones winning, then ``PIP_*`` variables.

    Order and sections as in pip's documentation, "Configuration"; `files` defaults to `pip_files`.
    """
    settings: dict[str, str] = {}
    for path in pip_files(environ) if files is None else files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # pip itself will tell the user; here a broken file says nothing
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update((_key(name), value) for name, value in parser.items(section))
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[_key(name[len("PIP_") :])] = value
    return settings


def pip_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where pip's configuration may lie, weakest first."""
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return ()
    home = Path(environ.get("HOME") or Path.home())
    system = [
        Path(folder) / "pip" / "pip.conf"
        for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    ]
    if sys.platform == "darwin":
        system = [Path("/Library/Application Support/pip/pip.conf")]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    mac_user = home / "Library" / "Application Support" / "pip" / "pip.conf"
    if sys.platform == "darwin" and mac_user.parent.is_dir():
        user = mac_user
    files = [*system, Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user, Path(sys.prefix) / "pip.conf"]
    return (*files, Path(own)) if own else tuple(files)


def read_uv_file(environ: Mapping[str, str]) -> dict[str, object]:
    """The keys of the user's and the system's ``uv.toml``, those under ``[pip]`` included."""
    home = Path(environ.get("HOME") or Path.home())
    files = [
        Path("/etc/uv/uv.toml"),
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml",
    ]
    if environ.get("UV_CONFIG_FILE"):
        files = [Path(environ["UV_CONFIG_FILE"])]
    if environ.get("UV_NO_CONFIG"):
        files = []
    keys: dict[str, object] = {}
    for path in files:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # uv will say so itself
        keys |= table | dict(table.get("pip", {}))
    return keys


def _key(name: str) -> str:
    """One spelling of an option: ``Index_URL`` and ``--index-url`` are ``index-url``."""
    return name.lower().replace("_", "-").removeprefix("--")


def _reachable(value: str) -> list[str]:
    """The places listed, without local folders that don't exist (pip passes over them, uv fails).

    Relative folders become absolute, since uv is run elsewhere.
    """
    places = []
    for place in value.split():
        url = urlsplit(place)
        if url.scheme in ("http", "https"):
            places.append(place)
        elif (
            path := Path(unquote(url.path) if url.scheme == "file" else place).expanduser().absolute()
        ).exists():
            places.append(place if url.scheme == "file" else str(path))
    return places
