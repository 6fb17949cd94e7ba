"""What JAX's profiler saw of XLA's operations, by layer: the compiled program's metadata name it."""

import glob
import os
import re
import shutil
import tempfile
from typing import Any, Dict, List, Optional

from bakeoff_worker.backends.jax.backend import MODULE
from bakeoff_worker.backends.places import Place, places
from bakeoff_worker.records import ProfiledSpan

NAME = "jax.profiler"
NUM_STEPS = 3
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = .*?[\w\-]+\((.*)$")
_OPERAND = re.compile(r"%([\w.-]+)")
# A fusion is named after what it holds.
_MOVES = re.compile(r"(wrapped_)?(copy|transpose)(_(copy|transpose|bitcast|fusion))*(\.\w+)*")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%([\w.-]+) \(.*\{$")


class Profiler:
    """A context with a folder for the trace; nothing but the network's own step may have been compiled."""

    def __init__(self, backend: Any, layers: List[str]) -> None:
        self._backend, self._jax, self._layers = backend, backend.jax, layers

    def __enter__(self) -> "Profiler":
        self._folder = tempfile.mkdtemp(prefix="bakeoff-trace-")
        return self

    def __exit__(self, *error: Any) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Record from here on."""
        self._jax.profiler.start_trace(self._folder)

    def stop(self) -> List[ProfiledSpan]:
        """All operations of the compiled step since."""
        self._jax.profiler.stop_trace()
        belongs = _places(self._backend.program(), self._layers)
        spans = []
        for file in glob.glob(os.path.join(self._folder, "**", "*.xplane.pb"), recursive=True):
            for plane in self._jax.profiler.ProfileData.from_file(file).planes:
                for line in plane.lines:
                    for event in line.events:
                        found = dict(event.stats)
                        if found.get("hlo_module") != MODULE:
                            continue
                        layer, direction = belongs.get(found["hlo_op"]) or ("", "")
                        start_s, seconds = event.start_ns * 1e-9, event.duration_ns * 1e-9
                        name, moves = found["hlo_op"], bool(_MOVES.fullmatch(found["hlo_op"]))
                        spans.append(
                            ProfiledSpan(name, layer, direction, start_s, seconds, seconds, line.name, moves)
                        )
        return spans


def _places(program: str, layers: List[str]) -> Dict[str, Optional[Place]]:
    """By name of an operation, where it belongs: by its own metadata, which what XLA made itself has not."""
    own: Dict[str, Optional[Place]] = {}
    takes: Dict[str, List[str]] = {}
    is_entry = False
    for line in program.splitlines():
        if _COMPUTATION.match(line):
            is_entry = line.startswith("ENTRY")
        found = _INSTRUCTION.match(line)
        if not is_entry or not found:
            continue
        name, rest = found.groups()
        metadata = re.search(r'op_name="([^"]*)"', rest)
        if metadata:
            own[name] = _place(metadata.group(1), layers)
        takes[name] = _OPERAND.findall(rest.split("), ")[0])
    return places(own, takes)


def _place(op_name: str, layers: List[str]) -> Optional[Place]:
    """``jit(train_step)/transpose(jvp(conv2d))/...`` is conv2d's backward pass."""
    for part in op_name.split("/"):
        for layer in layers:
            if part in (layer, "jvp({})".format(layer)):
                return layer, "forward"
            if part == "transpose(jvp({}))".format(layer):
                return layer, "backward"
    return None
