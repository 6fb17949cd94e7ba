"""pip's settings in uv's words."""

from pathlib import Path

import pytest

from bakeoff.environments.pip_settings import pip_files, read_pip, read_uv_file, uv_settings


def test_every_setting_has_its_word_in_uv(tmp_path: Path) -> None:
    settings = uv_settings(
        {},
        {
            "index-url": "https://index.example/simple",
            "extra-index-url": "https://one.example/simple\nhttps://two.example/simple",
            "find-links": str(tmp_path),
            "cert": "/etc/ca.pem",
            "client-cert": "/etc/me.pem",
            "proxy": "http://proxy.example:3128",
            "trusted-host": "one.example two.example:8080",
            "timeout": "60",
            "no-index": "true",
        },
        {},
    )
    assert settings.variables == {
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(tmp_path),
        "SSL_CERT_FILE": "/etc/ca.pem",
        "SSL_CLIENT_CERT": "/etc/me.pem",
        "ALL_PROXY": "http://proxy.example:3128",
        "UV_INSECURE_HOST": "one.example two.example:8080",
        "UV_HTTP_TIMEOUT": "60",
    }
    assert settings.arguments == ("--no-index",)


def test_nothing_in_pip_leaves_uv_alone() -> None:
    settings = uv_settings({}, {"disable-pip-version-check": "1"}, {})
    assert (dict(settings.variables), settings.arguments) == ({}, ())


def test_only_pips_extra_indexes_loosen_the_index_strategy() -> None:
    settings = uv_settings({}, {"index-url": "https://index.example/simple"}, {})
    assert "UV_INDEX_STRATEGY" not in settings.variables


@pytest.mark.parametrize("name", ["UV_INDEX", "UV_EXTRA_INDEX_URL"])
def test_what_the_user_told_uv_wins_variable_by_variable(name: str) -> None:
    pip = {"index-url": "https://index.example/simple", "extra-index-url": "https://extra.example/simple"}
    settings = uv_settings({name: "https://mine.example/simple"}, pip, {})
    assert dict(settings.variables) == {"UV_DEFAULT_INDEX": "https://index.example/simple"}


def test_a_uv_toml_wins_too(tmp_path: Path) -> None:
    file = tmp_path / "uv.toml"
    file.write_text('index-url = "https://mine.example/simple"\n[pip]\nindex-strategy = "first-index"\n')
    keys = read_uv_file({"UV_CONFIG_FILE": str(file)})
    pip = {"index-url": "https://index.example/simple", "extra-index-url": "https://extra.example/simple"}
    assert dict(uv_settings({}, pip, keys).variables) == {"UV_INDEX": "https://extra.example/simple"}


def test_local_places_that_do_not_exist_are_passed_over_as_pip_does(tmp_path: Path) -> None:
    wheels = tmp_path / "with wheels"
    wheels.mkdir()
    pip = {
        "find-links": f"/no/such/folder {wheels.as_uri()} https://links.example/",
        "extra-index-url": "file:///no/such/index",
    }
    assert dict(uv_settings({}, pip, {}).variables) == {
        "UV_FIND_LINKS": f"{wheels.as_uri()},https://links.example/"
    }


def test_relative_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    monkeypatch.chdir(tmp_path)
    assert uv_settings({}, {"find-links": "wheels"}, {}).variables["UV_FIND_LINKS"] == str(
        tmp_path / "wheels"
    )


def test_later_files_win_and_variables_win_over_files(tmp_path: Path) -> None:
    system, user = tmp_path / "system.conf", tmp_path / "user.conf"
    system.write_text("[global]\nindex_url = https://system.example\ncert = /system.pem\ntimeout = 5\n")
    user.write_text(
        "[global]\ncert = /user.pem\n[install]\nfind-links =\n  /a\n  /b\n[wheel]\ncert = /no.pem\n"
    )
    settings = read_pip({"PIP_TIMEOUT": "9", "PIP_FIND_LINKS": ""}, (system, user, tmp_path / "absent.conf"))
    assert settings == {
        "index-url": "https://system.example",
        "cert": "/user.pem",
        "timeout": "9",
        "find-links": "\n/a\n/b",
    }


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "pip.conf"
    broken.write_text("index-url = https://nowhere.example\n")
    assert read_pip({}, (broken,)) == {}


def test_files_are_looked_for_where_pip_looks(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "PIP_CONFIG_FILE": "/own.conf",
    }
    files = pip_files(environ)
    assert files[-1] == Path("/own.conf")
    assert tmp_path / ".pip" / "pip.conf" in files
    assert pip_files({"PIP_CONFIG_FILE": "/dev/null"}) == ()
