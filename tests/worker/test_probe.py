"""What a process says of itself."""

from pathlib import Path

from bakeoff_worker import probe


def test_home_is_left_out() -> None:
    home = str(Path.home())
    facts = {"flags": f"base_compiledir={home}/cache,x=1", "nested": {"list": [f"-L{home}/lib"]}, "n": 1}
    assert probe.homeless(facts) == {
        "flags": "base_compiledir=~/cache,x=1",
        "nested": {"list": ["-L~/lib"]},
        "n": 1,
    }
