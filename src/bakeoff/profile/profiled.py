"""What was measured of one contestant, as the store keeps it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import Record, RunEnded, from_line, to_line

# What is measured, and how. Profiles of different versions say different things.
#   2  half a batch; TensorFlow's operations without those that hold them, JAX's gradients of kernels
VERSION = 2


@dataclass(frozen=True)
class Answer:
    """One job's records, in their order; its wall seconds, launch and end included; how it ended."""

    records: tuple[Record, ...]
    wall_s: float
    ended: RunEnded

    def of(self, kind: type[Any]) -> list[Any]:
        """The records of a kind."""
        return [record for record in self.records if isinstance(record, kind)]


@dataclass(frozen=True)
class Profiled:
    """One contestant's answers, by question; settings: as it was profiled. reason: why there are none."""

    label: str
    settings: TrialSettings
    answers: Mapping[str, Answer]
    reason: str = ""

    def has(self, question: str) -> bool:
        """Whether there is an answer to it."""
        return not self.why_not(question)

    def why_not(self, question: str) -> str:
        """Why there is no answer to a question; empty if there is one."""
        if question not in self.answers:
            return self.reason or "not asked"
        ended = self.answers[question].ended
        return "" if ended.status == "ok" else f"{ended.status}: {ended.reason}"

    @property
    def is_whole(self) -> bool:
        """Whether each question was asked, and answered."""
        return not self.reason and all(self.has(question) for question in self.answers)

    def document(self) -> dict[str, Any]:
        """JSON-plain."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "reason": self.reason,
            "answers": {
                question: {
                    "wall_s": answer.wall_s,
                    "records": [json.loads(to_line(record)) for record in (*answer.records, answer.ended)],
                }
                for question, answer in self.answers.items()
            },
        }


def from_document(label: str, document: Mapping[str, Any]) -> Profiled:
    """What `Profiled.document` gave."""
    answers = {}
    for question, kept in document["answers"].items():
        *records, ended = (from_line(json.dumps(record)) for record in kept["records"])
        answers[question] = Answer(tuple(records), kept["wall_s"], ended)  # type: ignore[arg-type]
    return Profiled(label, TrialSettings(**document["settings"]), answers, document["reason"])
