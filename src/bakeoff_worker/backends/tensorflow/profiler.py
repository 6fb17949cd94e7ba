"""What TensorFlow's profiler saw of the graph's operations, by layer: each layer's bear its number."""

import glob
import os
import re
import shutil
import tempfile
from typing import Any, List, Tuple

from bakeoff_worker.records import ProfiledSpan

NAME = "tf.profiler"
NUM_STEPS = 3
# TensorFlow makes scopes of one name distinct by what it appends; dots keep that apart.
_SCOPE = "bakeoff.layer.{}."
_LAYER = re.compile(r"bakeoff\.layer\.(\d+)\.")
# Operations that run others; these are seen themselves.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf")
_MOVES = ("Transpose", "Copy", "_MklToTf")
_HOLDS_ALL = "EagerLocalExecute"


class Profiler:
    """A context in which the step is compiled anew, each layer's operations in a name scope of its own."""

    def __init__(self, backend: Any, layers: List[str]) -> None:
        self._backend, self._names = backend, layers
        self._layers = [(layer, layer.call) for layer in backend.model.layers if layer.name in layers]

    def __enter__(self) -> "Profiler":
        self._folder = tempfile.mkdtemp(prefix="bakeoff-trace-")
        for layer, call in self._layers:
            layer.call = self._scoped(call, _SCOPE.format(self._names.index(layer.name)))
        self._backend.compile(self._backend.model)
        return self

    def __exit__(self, *error: Any) -> None:
        for layer, call in self._layers:
            layer.call = call
        self._backend.compile(self._backend.model)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Record from here on: operations, no Python calls."""
        profiler = self._backend.tensorflow.profiler.experimental
        options = profiler.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
        profiler.start(self._folder, options=options)

    def stop(self) -> List[ProfiledSpan]:
        """All operations since."""
        self._backend.tensorflow.profiler.experimental.stop()
        from tensorflow.tsl.profiler.protobuf import xplane_pb2

        spans = []
        for file in glob.glob(os.path.join(self._folder, "**", "*.xplane.pb"), recursive=True):
            space = xplane_pb2.XSpace()
            with open(file, "rb") as stream:
                space.ParseFromString(stream.read())
            for plane in space.planes:
                for line in plane.lines:
                    for event in line.events:
                        # ``scope/name:Type``; whatever else the tracer notes has no type.
                        name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                        if not colon or name.endswith(":") or kind in _CALLS or name == _HOLDS_ALL:
                            continue
                        layer, direction = self._place(name)
                        start_s = line.timestamp_ns * 1e-9 + event.offset_ps * 1e-12
                        seconds = event.duration_ps * 1e-12
                        thread = line.name or str(line.id)
                        spans.append(
                            ProfiledSpan(
                                name, layer, direction, start_s, seconds, seconds, thread, kind in _MOVES
                            )
                        )
        return spans

    def _scoped(self, call: Any, scope: str) -> Any:
        def scoped(*arguments: Any, **options: Any) -> Any:
            with self._backend.tensorflow.name_scope(scope):
                return call(*arguments, **options)

        return scoped

    def _place(self, name: str) -> Tuple[str, str]:
        """``gradient_tape/functional/conv2d/bakeoff.layer.0./…`` is the first layer's backward pass."""
        found = _LAYER.search(name)
        if not found:
            return "", ""
        direction = "backward" if name.startswith("gradient_tape/") else "forward"
        return self._names[int(found.group(1))], direction
