"""What a TensorFlow 1 session's own trace saw, by layer: the names of operations tell it."""

import re
from typing import Any, List

from bakeoff_worker.records import ProfiledSpan

NAME = "tf.RunMetadata"
NUM_STEPS = 1  # a session keeps the trace of its last step


class Profiler:
    """A context in which the model's step is one that traces."""

    def __init__(self, backend: Any, layers: List[str]) -> None:
        self._backend, self._layers = backend, layers

    def __enter__(self) -> "Profiler":
        kind = self._backend.tensorflow
        self._metadata = kind.RunMetadata()
        options = kind.RunOptions(trace_level=kind.RunOptions.FULL_TRACE)
        self._backend.compile(self._backend.model)
        self._backend.model._function_kwargs = {"options": options, "run_metadata": self._metadata}
        return self

    def __exit__(self, *error: Any) -> None:
        self._backend.compile(self._backend.model)

    def start(self) -> None:
        """Nothing: every step is traced."""

    def stop(self) -> List[ProfiledSpan]:
        """All operations of the last step."""
        spans = []
        for device in self._metadata.step_stats.dev_stats:
            for node in device.node_stats:
                layer, direction = self._place(node.node_name)
                seconds = (node.op_end_rel_micros - node.op_start_rel_micros) * 1e-6
                start_s = (node.all_start_micros + node.op_start_rel_micros) * 1e-6
                thread = "{} {}".format(device.device, node.thread_id)
                moves = " = Transpose(" in node.timeline_label
                spans.append(
                    ProfiledSpan(node.node_name, layer, direction, start_s, seconds, seconds, thread, moves)
                )
        return spans

    def _place(self, name: str) -> "tuple[str, str]":
        """``training/Adam/gradients/conv2d_1/...`` is conv2d_1's backward pass."""
        for layer in self._layers:
            if re.search("gradients/(.*/)?{}/".format(re.escape(layer)), name):
                return layer, "backward"
            if name.startswith(layer + "/"):
                return layer, "forward"
        return "", ""
