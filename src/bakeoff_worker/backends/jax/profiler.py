"""What JAX's profiler saw of XLA's operations, by layer: the compiled program's metadata name it."""

import glob
import os
import re
import shutil
import tempfile
from typing import Any, Dict, Iterator, List, Optional, Tuple

from bakeoff_worker.backends.jax.backend import MODULE
from bakeoff_worker.records import ProfiledSpan

NAME = "jax.profiler"
NUM_STEPS = 3
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = .*?[\w\-]+\((.*)$")
_OPERAND = re.compile(r"%([\w.-]+)")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%([\w.-]+) \(.*\{$")
Place = Tuple[str, str]  # layer, direction


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
        places = _places(self._backend.program(), self._layers)
        spans = []
        for file in glob.glob(os.path.join(self._folder, "**", "*.xplane.pb"), recursive=True):
            for plane in self._jax.profiler.ProfileData.from_file(file).planes:
                for line in plane.lines:
                    for event in line.events:
                        found = dict(event.stats)
                        if found.get("hlo_module") != MODULE:
                            continue
                        layer, direction = places.get(found["hlo_op"]) or ("", "")
                        seconds = event.duration_ns * 1e-9
                        spans.append(
                            ProfiledSpan(
                                found["hlo_op"],
                                layer,
                                direction,
                                event.start_ns * 1e-9,
                                seconds,
                                seconds,
                                line.name,
                            )
                        )
        return spans


def _places(program: str, layers: List[str]) -> Dict[str, Optional[Place]]:
    """By name of an operation, where it belongs; None: to no layer.

    By its own metadata; what XLA made itself has none, and belongs where its result is used, or else to what
    it takes: a kernel's gradient, which the update uses, to the backward pass of its layer.
    """
    own: Dict[str, Optional[Place]] = {}
    takes: Dict[str, List[str]] = {}
    used_by: Dict[str, List[str]] = {}
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
        for operand in takes[name]:
            used_by.setdefault(operand, []).append(name)
    places: Dict[str, Optional[Place]] = {}
    for name in takes:
        users = list(_nearest(name, own, used_by))
        if users and users[0]:
            places[name] = users[0]
            continue
        taken = [place for place in _nearest(name, own, takes) if place]
        backward = [place for place in taken if place[1] == "backward"]
        places[name] = next(iter(backward + taken), None)
    return places


def _nearest(
    name: str, own: Dict[str, Optional[Place]], towards: Dict[str, List[str]]
) -> Iterator[Optional[Place]]:
    """Places of the first operations that say one on each way from this one, the nearest first."""
    queue, seen = [name], {name}
    while queue:
        one = queue.pop(0)
        if one in own:
            yield own[one]
            continue
        fresh = [other for other in towards.get(one, []) if other not in seen]
        seen.update(fresh)
        queue += fresh


def _place(op_name: str, layers: List[str]) -> Optional[Place]:
    """``jit(train_step)/transpose(jvp(conv2d))/...`` is conv2d's backward pass."""
    for part in op_name.split("/"):
        for layer in layers:
            if part in (layer, "jvp({})".format(layer)):
                return layer, "forward"
            if part == "transpose(jvp({}))".format(layer):
                return layer, "backward"
    return None
