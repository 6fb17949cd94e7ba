"""`bakeoff verify` as typed: its exit code, what it prints, what it stores."""

from __future__ import annotations

import json

from bakeoff.store.reader import Reader


def test_what_trains_no_network_can_not_be_verified(program):
    program.write("pair.toml", PAIR)
    done = program("verify", "pair.toml", code=1)
    assert "deterministic on: not verified: skipped: backend fake trains no network" in done.stdout
    assert "no two contestants could be compared" in done.stdout
    assert "deterministic on: computing in float32" in done.stderr
    with Reader(program.store) as reader:
        frame = reader.certificates()
    assert frame["verdict"].to_list() == ["not compared"]
    document = json.loads(frame["document"][0])
    assert document["one"]["backend"] == "fake"
    assert document["one"]["subject"] == frame["one_subject"][0] != frame["other_subject"][0]
    assert not list(program.folder.glob("*.spool/*"))


def test_json_is_all_that_goes_to_standard_output(program):
    program.write("pair.toml", PAIR)
    done = program("verify", "pair.toml", "--json", code=1)
    (group,) = json.loads(done.stdout)
    assert [one["label"] for one in group["contestants"]] == ["deterministic on", "deterministic off"]
    assert group["pairs"][0]["verdict"] == "not compared"
    assert group["alike"] == [[one["label"]] for one in group["contestants"]]


def test_a_single_contestant_has_nobody_to_differ_from(program):
    done = program("verify", "tiny.toml", code=0)
    assert "there is no other contestant to compare with" in done.stdout


def test_mistakes_are_those_of_every_command(program):
    assert "error: " in program("verify", "nowhere.toml", code=3).stderr
    program.store.mkdir()
    assert "is a folder" in program("verify", "tiny.toml", code=6).stderr


PAIR = """
name = "pair"
[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
[matrix]
deterministic = [true, false]
"""
