"""What Spark says of a failed task, in a line."""

from __future__ import annotations

import pytest

from bakeoff_worker.distribution.elephas.application import failure_of

SPARK = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times: {}
"""


@pytest.mark.parametrize(
    ("detail", "status", "words"),
    [
        (
            'java.io.IOException: Cannot run program "/env/bin/python": error=2, No such file or directory',
            "failed",
            "the nodes lack the environment's Python: put it at the same path there, or pack it",
        ),
        (
            "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
            "RuntimeError: Python in worker has different version 3.8 than that in driver 3.11",
            "failed",
            "the nodes lack the environment's Python",
        ),
        (
            "org.apache.spark.api.python.PythonException: Traceback\nMemoryError: Unable to allocate",
            "out_of_memory",
            "Unable to allocate",
        ),
    ],
)
def test_a_failed_task_is_said_with_its_likely_setting(detail, status, words):
    found = failure_of(Exception(SPARK.format(detail)))
    assert found.status == status
    assert words in str(found)
