"""``make bench-flops``: operations counted from layers' shapes, by hand and by two frameworks.

The study's network at 28 x 28 x 1: 4.49 million operations per training image. `torch.utils.flop_counter`
counts products and convolutions of a whole training step, as we do. XLA's cost analysis counts all operations
of the forward pass, so that it finds a few more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bakeoff import environments
from bakeoff.profile.arithmetic import of_network
from bakeoff_worker.records import LayerDescribed
from benchmarks.goals import Figure, conclude

BY_HAND = 2 * 864_000 + 3 * (810_000 + 109_800)
MAX_DIFFERENCE, MAX_OF_XLA = 0.01, 0.10
_WORKER = Path(environments.__file__).parents[2]

# Inside a contestant's environment: the network's layers as we see them, and the framework's own count.
_SCRIPT = """
import dataclasses, json, os, sys
import numpy as np
sys.path.append({worker!r})
os.environ["KERAS_BACKEND"] = {backend!r}
import keras
from bakeoff_worker.models.study_cnn import build
from bakeoff_worker.backends.keras_network import chain, describe
model = build((28, 28, 1), 10, dropout=0.0)
x, y = np.ones((8, 28, 28, 1), "float32"), np.eye(10, dtype="float32")[np.arange(8)]
{count}
layers = [dataclasses.asdict(describe(layer)) for layer in chain(model)]
print("\\n" + json.dumps({{"counted": counted / len(x), "layers": layers}}))
"""
_COUNTS = {
    "torch": """
from torch.utils.flop_counter import FlopCounterMode
model.compile("sgd", "categorical_crossentropy")
model.train_on_batch(x, y)
with FlopCounterMode(display=False) as counter:
    model.train_on_batch(x, y)
counted = counter.get_total_flops()
""",
    "jax": """
import jax
values = [variable.value for variable in model.variables]
call = lambda values, x: model.stateless_call(values, [], x)[0]
counted = jax.jit(call).lower(values, x).compile().cost_analysis()["flops"]
""",
}


def main() -> int:
    """Count and compare; 0 if all agree."""
    figures = []
    for backend, count in _COUNTS.items():
        environment = environments.ensure(backend, backend=backend)
        script = _SCRIPT.format(worker=str(_WORKER), backend=backend, count=count)
        done = subprocess.run(
            [str(environment.python), "-c", script], check=True, capture_output=True, text=True
        )
        said = json.loads(done.stdout.strip().splitlines()[-1])
        ours = of_network([LayerDescribed(**layer) for layer in said["layers"]])
        if ours is None:
            raise SystemExit(f"{backend}: a layer was not counted")
        if backend == "torch":
            figures.append(_figure("by hand", ours.training, BY_HAND, 0.0))
            figures.append(
                _figure("torch.utils.flop_counter", ours.training, said["counted"], MAX_DIFFERENCE)
            )
        else:
            figures.append(_figure("XLA's cost analysis, forward", ours.forward, said["counted"], MAX_OF_XLA))
    return conclude("flops", figures)


def _figure(what: str, ours: float, theirs: float, goal: float) -> Figure:
    """Our count beside another's."""
    difference = abs(theirs - ours) / ours
    text = f"{what} {theirs / 1e6:.4g} MFLOP an image, ours {ours / 1e6:.4g}"
    return Figure(text, f"within {goal:.0%}" if goal else "equal", difference <= goal)


if __name__ == "__main__":
    sys.exit(main())
