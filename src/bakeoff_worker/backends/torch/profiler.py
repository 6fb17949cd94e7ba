"""What torch.profiler saw, by layer: sequence numbers join backward operations to forward ones."""

from typing import Any, Dict, List

from bakeoff_worker.records import ProfiledSpan

NAME = "torch.profiler"
NUM_STEPS = 3
_LAYER = "layer:"
_MOVES = "aten::copy_"  # what contiguous, clone and to come to


class Profiler:
    """A context in which each layer names itself while it is called."""

    def __init__(self, backend: Any, layers: List[str]) -> None:
        self._torch = backend.torch
        self._layers = [(layer, layer.call) for layer in backend.model.layers if layer.name in layers]

    def __enter__(self) -> "Profiler":
        for layer, call in self._layers:
            layer.call = self._named(call, _LAYER + layer.name)
        return self

    def __exit__(self, *error: Any) -> None:
        for layer, call in self._layers:
            layer.call = call

    def start(self) -> None:
        """Record from here on."""
        kind = self._torch.profiler
        self._profile = kind.profile(activities=[kind.ProfilerActivity.CPU])
        self._profile.start()

    def stop(self) -> List[ProfiledSpan]:
        """All operations since."""
        self._profile.stop()
        events = self._profile.events()
        layer_of: Dict[int, str] = {}
        for event in sorted(events, key=lambda event: float(event.time_range.start)):
            layer = _enclosing(event)
            if layer and event.sequence_nr >= 0:
                layer_of[event.sequence_nr] = layer
        return [_span(event, layer_of) for event in events if not event.name.startswith(_LAYER)]

    def _named(self, call: Any, name: str) -> Any:
        def named(*arguments: Any, **options: Any) -> Any:
            with self._torch.profiler.record_function(name):
                return call(*arguments, **options)

        return named


def _enclosing(event: Any) -> str:
    """The layer that an operation of the forward pass belongs to; empty if to none."""
    while event is not None:
        if event.name.startswith(_LAYER):
            return str(event.name[len(_LAYER) :])
        event = event.cpu_parent
    return ""


def _span(event: Any, layer_of: Dict[int, str]) -> ProfiledSpan:
    layer, direction, outer = _enclosing(event), "forward", event
    while not layer and outer is not None:
        if outer.name.startswith("autograd::engine"):
            layer, direction = layer_of.get(outer.sequence_nr, ""), "backward"
        outer = outer.cpu_parent
    return ProfiledSpan(
        name=event.name,
        layer=layer,
        direction=direction if layer else "",
        start_s=event.time_range.start * 1e-6,
        wall_s=event.time_range.elapsed_us() * 1e-6,
        own_s=event.self_cpu_time_total * 1e-6,
        thread=str(event.thread),
        moves=event.name == _MOVES,
    )
