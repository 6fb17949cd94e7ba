"""What Theano's own profile saw of the graph's operations, by layer: the weights that they take tell it."""

from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from bakeoff_worker.backends.places import Place, places
from bakeoff_worker.records import ProfiledSpan

NAME = "theano.ProfileStats"
NUM_STEPS = 3
# Operations that give another view of what they take.
_VIEWS = ("DimShuffle", "InplaceDimShuffle", "Subtensor", "Reshape", "Rebroadcast")
# Beginnings of names: those of a kind take the same input forward and backward.
_KINDS = {
    "convolution": ("Corr", "Conv", "AbstractConv"),
    "product": ("Dot", "Gem"),
    "pooling": ("Pool", "MaxPool", "AveragePool"),
}


class Profiler:
    """A context in which the step is compiled anew, with a profile."""

    def __init__(self, backend: Any, layers: List[str]) -> None:
        self._backend = backend
        self._layers = [layer for layer in backend.model.layers if layer.name in layers]

    def __enter__(self) -> "Profiler":
        from theano.compile.profiling import ProfileStats

        self._profile = ProfileStats(atexit_print=False)
        self._backend.compile(self._backend.model)
        self._backend.model._function_kwargs = {"profile": self._profile}
        return self

    def __exit__(self, *error: Any) -> None:
        self._backend.compile(self._backend.model)

    def start(self) -> None:
        """Count from here on."""
        self._profile.reset()

    def stop(self) -> List[ProfiledSpan]:
        """All operations since: one after the other, each with the seconds of all its calls."""
        graph = self._backend.model.train_function.function.maker.fgraph
        nodes = graph.toposort()
        takes = {node: [one.owner for one in node.inputs if one.owner is not None] for node in nodes}
        belongs = places(dict(self._own(graph, nodes)), takes)
        spans, start_s = [], 0.0
        for node in nodes:
            seconds = self._profile.apply_time.get(node, 0.0)
            layer, direction = belongs[node] or ("", "")
            spans.append(
                ProfiledSpan(str(node.op)[:80], layer, direction, start_s, seconds, seconds, "Theano")
            )
            start_s += seconds
        return spans

    def _own(self, graph: Any, nodes: List[Any]) -> Iterator[Tuple[Any, Optional[Place]]]:
        """Places of operations that take weights, of poolings by their order, of gradients by their input."""
        weights = {weight.name: layer.name for layer in self._layers for weight in layer.weights}
        poolings = iter([layer.name for layer in self._layers if hasattr(layer, "pool_size")])
        forward = _needed(graph.outputs[0])
        inputs: Dict[Tuple[str, Any], str] = {}
        for node in nodes:
            kind = _kind(node)
            roots = [_root(one) for one in node.inputs]
            layer = next(
                (weights[root.name] for root in roots if root.owner is None and root.name in weights), ""
            )
            if node in forward:
                if kind == "pooling":
                    layer = next(poolings, "")
                if kind and layer:
                    inputs.update(((kind, root), layer) for root in roots if _is_computed_or_fed(root))
            elif not kind and any(output in graph.outputs for output in node.outputs):
                yield node, None  # the update of a weight
                continue
            if kind and not layer:
                layer = next((inputs[kind, root] for root in roots if (kind, root) in inputs), "")
            if layer:
                yield node, (layer, "forward" if node in forward else "backward")


def _kind(node: Any) -> str:
    name = type(node.op).__name__
    return next((kind for kind, starts in _KINDS.items() if name.startswith(starts)), "")


def _root(variable: Any) -> Any:
    """What a variable is a view of."""
    while variable.owner is not None and type(variable.owner.op).__name__ in _VIEWS:
        variable = variable.owner.inputs[0]
    return variable


def _is_computed_or_fed(variable: Any) -> bool:
    """Whether it is no constant, which operations share that have nothing to do with each other."""
    return variable.owner is not None or not hasattr(variable, "data")


def _needed(variable: Any) -> Set[Any]:
    """All operations that a variable hangs on."""
    found: Set[Any] = set()
    queue = [variable]
    while queue:
        node = queue.pop().owner
        if node is not None and node not in found:
            found.add(node)
            queue += node.inputs
    return found
