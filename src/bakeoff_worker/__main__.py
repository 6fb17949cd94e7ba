"""``python bakeoff_worker/__main__.py JOB.json``: one job in, one run, exit status 0 whatever the run's own.

The run's fate is a record; a non-zero exit status means that not even that could be written.
"""

import os
import sys

# Ours alone: neither the caller's folder nor this package's modules may shadow anybody's.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import faulthandler  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402

from bakeoff_worker import allocator, clock, device, emit, records  # noqa: E402
from bakeoff_worker.job import MEASUREMENT_VERSION, Job, TrialSettings, job_from_json  # noqa: E402


def main(job_path: str) -> int:
    """Run the job in the file; 0 once its end is recorded."""
    import_started = clock.since_process_start_s()
    faulthandler.enable()  # a crash in native code leaves its Python stack in the log
    with open(job_path) as job_file:
        job = job_from_json(job_file.read())
    if job.spec.settings.keep_memory:
        allocator.keep_memory()  # while there is one thread
    channel = emit.from_environment(job.paths.records, job.paths.folder)
    channel.emit(
        records.RunStarted(
            pid=os.getpid(),
            unix_s=time.time(),
            python="{}.{}.{}".format(*sys.version_info[:3]),
            measurement_version=MEASUREMENT_VERSION,
        )
    )
    if import_started is not None:
        user_s, system_s = clock.cpu_s()
        channel.emit(records.PhaseEnded("interpreter", import_started, user_s, system_s))
    ended = _run(job, channel)
    channel.emit(ended)
    return 0


def _run(job: Job, channel: emit.Channel) -> records.RunEnded:
    """The run's fate; every exception becomes a status with a reason."""
    _limit_threads(job.spec.settings)
    if job.spec.settings.device == "gpu":
        device.hide_others(job.spec.settings.gpu, os.environ)
    importing = clock.Stopwatch()
    from bakeoff_worker import distribution
    from bakeoff_worker.backends.base import ContestantError, Skip
    from bakeoff_worker.models import ModelError

    try:
        if job.spec.settings.keep_memory and not allocator.keeps_memory():
            raise Skip("keep_memory needs glibc, whose allocator can be told so; leave it out here")
        # Imports NumPy, whose BLAS sizes its pool when it is loaded.
        way = distribution.load(
            job.spec.settings.distribution,
            verifies=job.paths.evidence is not None,
            looks=job.paths.looks,
            profiles=job.paths.profile is not None,
        )
        way.run(job, channel, importing)
    except Skip as skip:
        return records.RunEnded("skipped", str(skip))
    except distribution.RunFailed as failure:
        return records.RunEnded(failure.status, str(failure), failure.last_lines)
    except (ContestantError, ModelError) as error:
        return records.RunEnded("failed", str(error), traceback.format_exc()[-4000:])
    except MemoryError:
        return records.RunEnded(
            "out_of_memory", "Python's allocator had no more memory", traceback.format_exc()[-4000:]
        )
    except BaseException as error:
        reason = "{}: {}".format(type(error).__name__, error)
        if job.spec.settings.device == "gpu" and device.is_out_of_memory(error):
            reason = "the GPU had no more memory: " + reason
            return records.RunEnded("out_of_memory", reason[:1000], traceback.format_exc()[-4000:])
        return records.RunEnded("failed", reason[:1000], traceback.format_exc()[-4000:])
    return records.RunEnded("ok")


def _limit_threads(settings: TrialSettings) -> None:
    """Say how many threads there shall be, before anything makes a pool; bind the process to as many CPUs."""
    if settings.threads is not None:
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[variable] = str(settings.threads)
    if settings.pin_cpus and hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus[: settings.threads or len(cpus)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
