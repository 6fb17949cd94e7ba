"""Environments made for real, from wheels made here, and every way in which that fails."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff import environments
from bakeoff.environments import EnvironmentSpec, creation
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import messages

ENSURE = """
import sys
from pathlib import Path
from bakeoff import environments
from bakeoff.study import EnvironmentRequest
request = EnvironmentRequest("tiny", lock=Path(sys.argv[1]), python_version=sys.argv[2])
print(environments.ensure("tiny", request=request, listener=print).python)
"""


def python_says(environment: environments.Environment, code: str) -> str:
    answer = subprocess.run([environment.python, "-c", code], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_it_is_made_once_and_found_again(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    assert environments.find("tiny", request=request) is None
    lines: list[str] = []
    made = environments.ensure("tiny", request=request, listener=messages(lines.append))
    assert python_says(made, "import tinypkg; print(tinypkg.VERSION)") == "1.0"
    assert made.kind == "managed"
    assert made.scratch.is_dir()
    assert len(made.digest) == 64
    assert any("Installed 1 package" in line for line in lines)

    again: list[str] = []
    assert environments.ensure("tiny", request=request, listener=messages(again.append)) == made
    assert environments.find("tiny", request=request) == made
    assert again == []


def test_another_lock_is_another_environment(make_wheel, request_for) -> None:
    old = environments.ensure(
        "tiny", request=request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    )
    new = environments.ensure(
        "tiny", request=request_for(f"tinypkg==2.0 --hash=sha256:{make_wheel('tinypkg', '2.0')}")
    )
    assert old.digest != new.digest
    assert python_says(old, "import tinypkg; print(tinypkg.VERSION)") == "1.0"
    assert python_says(new, "import tinypkg; print(tinypkg.VERSION)") == "2.0"


def test_what_is_changed_in_it_later_makes_it_another(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    made = environments.ensure("tiny", request=request)
    home = made.scratch.parent
    (packages,) = home.glob("venv/lib/python*/site-packages")
    (packages / "tinypkg-1.0.dist-info").rename(packages / "tinypkg-1.1.dist-info")
    upgraded = environments.ensure("tiny", request=request)
    (packages / "tinypkg-1.1.dist-info").rename(packages / "tinypkg-1.0.dist-info")
    assert upgraded.digest != made.digest
    real = made.python.resolve()
    made.python.unlink()
    made.python.write_text(f'#!/bin/sh\n[ "$2" = -S ] && echo another build || exec {real} "$@"\n')
    made.python.chmod(0o755)
    assert environments.ensure("tiny", request=request).digest != made.digest


def test_listed_with_size_and_removed_with_everything(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    made = environments.ensure("tiny", request=request)
    states = {state.name: state for state in environments.list_environments()}
    assert list(states) == [*environments.catalogue(), "java", "tiny"]
    assert states["tensorflow"].state == "absent"
    assert states["fake"].state == "ready"
    assert (states["tiny"].state, states["tiny"].path) == ("ready", made.scratch.parent)
    assert states["tiny"].disk_bytes > 0

    environments.remove("tiny")
    assert not made.scratch.exists()
    assert environments.find("tiny", request=request) is None
    with pytest.raises(EnvironmentFailure, match="no environment tiny to remove"):
        environments.remove("tiny")


def test_one_of_an_older_lock_is_outdated(wheels: Path) -> None:
    home = creation.folder(wheels.parent / "cache" / "environments", environments.catalogue()["jax"])
    older = home.with_name("jax-000000000000")
    (older / "venv" / "bin").mkdir(parents=True)
    (older / "venv" / "bin" / "python").symlink_to(sys.executable)
    (older / "environment.json").write_text(
        '{"name": "jax", "digest": "0", "python": "3.11.7", "disk_bytes": 5, "created_unix_s": 1, "uv": "0"}'
    )
    states = [state for state in environments.list_environments() if state.name == "jax"]
    assert [(state.state, state.disk_bytes) for state in states] == [("absent", 0), ("outdated", 5)]


def test_a_half_built_one_is_made_anew(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    made = environments.ensure("tiny", request=request)
    home = made.scratch.parent
    (home / "environment.json").unlink()
    module = next(home.rglob("tinypkg.py"))
    module.unlink()  # a hard link into uv's cache
    module.write_text("VERSION = 'half'\n")
    (home / "venv" / "left behind").touch()
    assert environments.find("tiny", request=request) is None
    assert [state.state for state in environments.list_environments() if state.name == "tiny"] == ["broken"]

    again = environments.ensure("tiny", request=request)
    assert python_says(again, "import tinypkg; print(tinypkg.VERSION)") == "1.0"
    assert not (home / "venv" / "left behind").exists()


def test_one_whose_python_is_gone_is_made_anew(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    made = environments.ensure("tiny", request=request)
    made.python.unlink()
    made.python.symlink_to("/no/such/python")
    assert environments.find("tiny", request=request) is None
    assert python_says(environments.ensure("tiny", request=request), "print(6 * 7)") == "42"


def test_two_processes_that_ask_at_once_make_one(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    command = [sys.executable, "-c", ENSURE, str(request.lock), request.python_version]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [racer.communicate(timeout=120)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert sum("Installed" in output for output in outputs) == 1


def test_a_uv_that_outlives_us_keeps_the_next_one_waiting(tmp_path: Path) -> None:
    home = tmp_path / "environments" / "tiny-0"
    waited: list[bool] = []
    with creation.exclusive(home, lambda: waited.append(True)) as held:
        orphan = subprocess.Popen(["sleep", "0.5"], pass_fds=(held,))
    assert waited == []
    with creation.exclusive(home, lambda: waited.append(True)):
        assert orphan.poll() is not None or orphan.wait(0.2) == 0
    assert waited == [True]


def test_a_package_that_is_not_the_locked_one_is_refused(make_wheel, request_for) -> None:
    make_wheel("tinypkg", "1.0")
    request = request_for(f"tinypkg==1.0 --hash=sha256:{'0' * 64}")
    with pytest.raises(EnvironmentFailure, match="hash mismatch") as raised:
        environments.ensure("tiny", request=request)
    assert "tinypkg" in raised.value.message
    assert "don't trust it" in raised.value.hint
    assert environments.find("tiny", request=request) is None


def test_a_package_that_the_index_lacks_is_named(wheels: Path, request_for) -> None:
    with pytest.raises(EnvironmentFailure, match="the index lacks a package") as raised:
        environments.ensure("tiny", request=request_for(f"tinypkg==1.0 --hash=sha256:{'0' * 64}"))
    assert "tinypkg" in raised.value.message
    assert "PIP_FIND_LINKS" in raised.value.hint


def test_a_lock_without_hashes_is_refused(make_wheel, request_for) -> None:
    make_wheel("tinypkg", "1.0")
    with pytest.raises(EnvironmentFailure, match="not pinned and hashed"):
        environments.ensure("tiny", request=request_for("tinypkg==1.0"))


def test_a_missing_lock_is_named(tmp_path: Path, request_for) -> None:
    request = replace(request_for(), lock=tmp_path / "absent.txt")
    with pytest.raises(EnvironmentFailure, match=r"absent\.txt"):
        environments.ensure("tiny", request=request)


def test_an_index_out_of_reach_is_told(wheels: Path, request_for, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(EnvironmentFailure, match="index can't be reached") as raised:
        environments.ensure("tiny", request=request_for(f"tinypkg==1.0 --hash=sha256:{'0' * 64}"))
    assert "127.0.0.1:9" in raised.value.message


def test_torch_comes_from_the_users_own_folder_first(make_wheel, request_for) -> None:
    request = request_for(f"torch==2.13.0+cpu --hash=sha256:{make_wheel('torch', '2.13.0+cpu')}")
    made = environments.ensure("tiny", request=request)
    assert python_says(made, "import torch; print(torch.VERSION)") == "2.13.0+cpu"


def test_without_it_there_torchs_own_index_is_asked(
    wheels, request_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("UV_OFFLINE", "1")
    lines: list[str] = []
    with pytest.raises(EnvironmentFailure) as raised:
        environments.ensure(
            "tiny",
            request=request_for(f"torch==2.13.0+cpu --hash=sha256:{'0' * 64}"),
            listener=messages(lines.append),
        )
    assert any("trying PyTorch's own index" in line for line in lines)
    assert "PyTorch's own index" in raised.value.hint
    assert "PIP_FIND_LINKS" in raised.value.hint


@pytest.mark.parametrize(
    ("lock", "variant"),
    [
        ("torch==2.13.0+cpu \\\n  --hash=sha256:0", "cpu"),
        ("numpy==2.0\ntorch==2.13.0+cu128 ; sys_platform == 'linux'", "cu128"),
        ("torch==2.13.0 \\", None),
        ("torchvision==0.2+cpu", None),
    ],
)
def test_the_build_of_torch_is_read_off_the_lock(lock: str, variant: str | None) -> None:
    assert creation.torch_variant(lock) == variant


def test_a_lock_that_cannot_run_the_backend_is_told(make_wheel, request_for) -> None:
    request = request_for(f"tinypkg==1.0 --hash=sha256:{make_wheel('tinypkg', '1.0')}")
    with pytest.raises(EnvironmentFailure, match=r"tiny.txt has no numpy, keras, jax"):
        environments.ensure("tiny", request=request, backend="jax")


def test_too_little_disk_space_is_told_with_both_figures(tmp_path: Path) -> None:
    spec = EnvironmentSpec("huge", "", (), disk_bytes=10**18)
    with pytest.raises(EnvironmentFailure, match=r"needs 1000000000\.0 GB .* GB are free"):
        creation.check_needs(spec, tmp_path / "not" / "there" / "yet")


def test_theano_needs_a_compiler_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"needs g\+\+") as raised:
        creation.check_needs(environments.catalogue()["theano"], tmp_path)
    assert "apt-get install g++" in raised.value.hint


def test_theano_takes_no_blank_in_its_path(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no blank or comma"):
        creation.check_needs(environments.catalogue()["theano"], tmp_path / "my cache")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_told(wheels: Path, request_for) -> None:
    (wheels.parent / "cache").mkdir(mode=0o500)
    with pytest.raises(EnvironmentFailure, match="can't be written"):
        environments.ensure("tiny", request=request_for("tinypkg==1.0"))


def test_a_cache_that_is_a_file_is_told(wheels: Path, request_for) -> None:
    (wheels.parent / "cache").touch()
    with pytest.raises(EnvironmentFailure, match="can't be written"):
        environments.ensure("tiny", request=request_for("tinypkg==1.0"))


@pytest.mark.parametrize(
    ("name", "theano", "study"),
    [
        ("vintage", "environment theano)", "`bakeoff run paper-today`"),
        ("vintage_spark", "environment theano_spark)", "`bakeoff run paper-distributed-today`"),
    ],
)
def test_without_its_python_vintage_offers_todays_theano(
    name: str, theano: str, study: str, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PYENV_ROOT", "CONDA_EXE", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(wheels.parent))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(wheels.parent / "pythons"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(EnvironmentFailure, match=r"no Python 3\.7") as raised:
        environments.ensure(name)
    assert theano in raised.value.hint
    assert study in raised.value.hint


def test_an_unknown_name_lists_the_known_ones(wheels: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no environment tensorflw; expected one of theano, "):
        environments.ensure("tensorflw")


def test_the_wrong_environment_for_a_backend_is_told(wheels: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="serves jax, plain_jax; got backend torch") as raised:
        environments.ensure("jax", backend="torch")
    assert raised.value.hint == "Use environment torch, torch_gpu."


def test_fake_is_our_own_interpreter(wheels: Path) -> None:
    fake = environments.ensure("fake", backend="fake")
    assert (fake.kind, fake.python, fake.blas_library) == ("own", Path(sys.executable), None)
    assert fake.scratch.is_dir()


def test_a_package_comes_from_the_real_index(
    tmp_path: Path, request_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    six = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"
    made = environments.ensure("tiny", request=request_for(f"six==1.17.0 --hash=sha256:{six}"))
    assert python_says(made, "import six; print(six.__version__)") == "1.17.0"
