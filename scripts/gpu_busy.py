"""GPU-busy seconds of one contestant's epoch, by the driver's samples and by its framework's own profiler.

    python gpu_busy.py BACKEND DATASET_FOLDER SCRATCH_FOLDER [gpu|cpu]

Trains the study's network on all training images as a run does. Epochs alternate: with the driver's meter
alone, as a run is timed, and with the profiler. By the profiler, the device is busy while at least one of its
kernels or copies runs: the union of their intervals. Prints one line of JSON, in seconds. Sources:
torch.profiler's Chrome trace (CUPTI activity), jax.profiler's trace.json.gz (the same).
"""

import gzip
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from bakeoff_worker import backends, data, models
from bakeoff_worker.device import meter_for
from bakeoff_worker.job import RunPaths, TrialSettings

PAIRS = 4


def main(backend_name, dataset, scratch, device="gpu"):
    settings = TrialSettings(backend_name, "card", device=device, epochs=1)
    paths = RunPaths(dataset=dataset, model_file=None, scratch=scratch, records=os.devnull)
    backend = backends.load(settings)(settings, paths)
    backend.start()
    arrays = data.load(dataset, settings, 0)
    build = lambda shape, classes: models.build(settings.model, settings.model_options, None, shape, classes)  # noqa: E731
    backend.build(build, arrays.input_shape, arrays.num_classes, 0)
    head = data.first_batches(len(arrays.x_train), settings.global_batch_size)
    backend.first_step(arrays.x_train[head], arrays.y_train[head])
    backend.evaluate(arrays.x_evaluation[:400], arrays.y_evaluation[:400])
    backend.synchronize()
    meter = meter_for(device)
    rows = {"plain_s": [], "driver_s": [], "profiled_wall_s": [], "profiler_s": [], "joules": []}

    def epoch():
        meter.start()
        started = time.perf_counter()
        backend.train_epoch(arrays.x_train, arrays.y_train)
        backend.synchronize()
        wall = time.perf_counter() - started
        return wall, meter.stop(wall)

    epoch()
    for _ in range(PAIRS):
        before = meter.joules()
        wall, driver = epoch()
        after = meter.joules()
        rows["plain_s"].append(wall)
        rows["driver_s"].append(driver)
        rows["joules"].append(None if before is None or after is None else after - before)
        with tempfile.TemporaryDirectory() as folder:
            profile = {"torch": torch_profile, "jax": jax_profile}[backend_name]
            wall, events = profile(epoch, folder)
        rows["profiled_wall_s"].append(wall)
        rows["profiler_s"].append(union_s(events))
    observed = backend.observed()
    rows.update(
        backend=backend_name,
        tf32=observed.get("tf32"),
        devices=observed.get("devices"),
        peak_memory_bytes=backend.device_peak_memory_bytes(),
    )
    print("\n" + json.dumps(rows))


def torch_profile(epoch, folder):
    """Wall seconds, and (start, duration) in microseconds of what ran on the device."""
    from torch import profiler

    activities = [profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.CUDA]
    with profiler.profile(activities=activities) as profiled:
        wall, _ = epoch()
    path = Path(folder, "trace.json")
    profiled.export_chrome_trace(str(path))
    events = json.loads(path.read_text())["traceEvents"]
    on_device = ("kernel", "gpu_memcpy", "gpu_memset")
    return wall, [(e["ts"], e["dur"]) for e in events if e.get("ph") == "X" and e.get("cat") in on_device]


def jax_profile(epoch, folder):
    """The same from JAX's trace: complete events of streams on processes that are devices."""
    import jax

    jax.profiler.start_trace(folder)
    wall, _ = epoch()
    jax.profiler.stop_trace()
    (path,) = Path(folder).glob("plugins/profile/*/*.trace.json.gz")
    with gzip.open(path, "rt") as file:
        events = json.load(file)["traceEvents"]
    names = {
        e["pid"]: e["args"]["name"] for e in events if e.get("ph") == "M" and e.get("name") == "process_name"
    }
    threads = {
        (e["pid"], e["tid"]): e["args"]["name"]
        for e in events
        if e.get("ph") == "M" and e.get("name") == "thread_name"
    }
    found = [
        (e["ts"], e.get("dur", 0))
        for e in events
        if e.get("ph") == "X"
        and "/device:" in names.get(e["pid"], "")
        and threads.get((e["pid"], e["tid"]), "").startswith("Stream")
    ]
    print(
        "jax trace:", sorted(set(names.values())), sorted(set(threads.values()))[:20], len(events), len(found)
    )
    return wall, found


def union_s(intervals):
    """Seconds covered by at least one interval of (start, duration) in microseconds; None without any."""
    if not intervals:
        return None
    total, end = 0.0, float("-inf")
    for start, duration in sorted(intervals):
        total += max(start + duration - max(start, end), 0.0)
        end = max(end, start + duration)
    return total / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
