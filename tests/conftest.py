"""What several parts of the tests share, since making it takes long."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
import pytest

from bakeoff import environments
from bakeoff.environments import Environment, interpreters

# xdist sets it for its workers; ours is the width of a program whose output goes to a pipe.
os.environ.pop("COLUMNS", None)

# What a busy machine takes for an example is no property of ours.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@dataclass(frozen=True)
class Packed:
    """An environment's archive, and the environment itself in another folder than it was packed from."""

    archive: Path
    moved: Environment


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Packed]:
    """The environment of that name, made in a cache of its own, packed, and moved away; once a session.

    Nothing that the archive could have been made to point at is there any more.
    """
    known: dict[str, Packed] = {}

    def of(name: str) -> Packed:
        if name == "vintage_spark" and interpreters.find("3.7").found is None:
            pytest.skip("no Python 3.7 to be had here")
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BAKEOFF_CACHE", str(folder / "cache"))  # others use the one there is
                made = environments.ensure(name)
                archive = environments.pack(name, folder / "packed.tar.gz")
            known[name] = Packed(archive, _move(made, folder / "moved"))
        return known[name]

    return of


def _move(made: Environment, target: Path) -> Environment:
    home = made.scratch.parent
    home.rename(target)
    return replace(
        made,
        python=target / made.python.relative_to(home),
        scratch=target / made.scratch.relative_to(home),
        blas_library=made.blas_library and target / made.blas_library.relative_to(home),
        variables={name: value.replace(str(home), str(target)) for name, value in made.variables.items()},
    )
