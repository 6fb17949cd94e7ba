"""What executors wrote is read for its first error and the setting that mends it; what nodes' pages say."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from bakeoff_worker.distribution.spark import standalone
from bakeoff_worker.distribution.spark.standalone import Node, Watch, first_error, remedy

HEAD = """==== Bytes 0-4096 of 4096 of /spark/app-1/0/stderr ====
Spark Executor Command: "/usr/bin/java" "-cp" "/conf:/jars/*" "-Xmx1024M"
========================================
26/11/26 10:50:03 INFO SecurityManager: authentication enabled; ui acls disabled
"""
NO_WAY = """Exception in thread "main" java.lang.reflect.UndeclaredThrowableException
\tat org.apache.hadoop.security.UserGroupInformation.doAs(UserGroupInformation.java:1894)
Caused by: org.apache.spark.SparkException: Exception thrown in awaitResult:
\tat org.apache.spark.util.ThreadUtils$.awaitResult(ThreadUtils.scala:301)
Caused by: java.io.IOException: Failed to connect to driver-host/127.0.1.1:40111
\tat org.apache.spark.network.client.TransportClientFactory.createClient(TransportClientFactory.java:284)
Caused by: io.netty.channel.AbstractChannel$AnnotatedConnectException: Connection refused: /127.0.1.1:40111
Caused by: java.net.ConnectException: Connection refused
"""


@pytest.mark.parametrize(
    ("stderr", "line", "setting"),
    [
        (HEAD + NO_WAY, "java.net.ConnectException: Connection refused", "set SPARK_LOCAL_IP"),
        (
            HEAD + "Caused by: java.net.UnknownHostException: laptop\n",
            "java.net.UnknownHostException: laptop",
            "which told them 10.0.0.1:7078",
        ),
        (
            "Error occurred during initialization of VM\nCould not reserve enough space for object heap\n",
            "Could not reserve enough space for object heap",
            "executor_memory_mib",
        ),
        (
            "Error: Could not create the Java Virtual Machine.\n",
            "Error: Could not create the Java Virtual Machine.",
            "executor_memory_mib",
        ),
        (
            HEAD + "Error: LinkageError occurred\njava.lang.UnsupportedClassVersionError: class file 61.0\n",
            "Error: LinkageError occurred",
            "JAVA_HOME",
        ),
        (
            HEAD + "26/11/26 10:50:04 ERROR TransportRequestHandler: javax.security.sasl.SaslException: x\n",
            "26/11/26 10:50:04 ERROR TransportRequestHandler: javax.security.sasl.SaslException: x",
            "spark.authenticate.secret",
        ),
        (
            HEAD + "java.io.InvalidClassException: serialVersionUID = 1\n",
            "java.io.InvalidClassException: serialVersionUID = 1",
            "of the very version",
        ),
        (HEAD, "(it wrote no error)", "The rest is in stderr"),
    ],
)
def test_the_first_error_of_an_executor_and_its_setting(stderr, line, setting):
    assert first_error(stderr) == line
    assert setting in remedy(stderr, "10.0.0.1:7078")


@contextmanager
def page(answers):
    """A worker's page that gives these answers by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            text = answers.get(self.path.partition("?")[0])
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *whatever):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def said(running=(), ended=()):
    rows = [[{"id": one, "appid": app} for app, one in each] for each in (running, ended)]
    return json.dumps({"executors": rows[0], "finishedexecutors": rows[1]})


def test_deaths_count_if_they_repeat_and_only_our_own():
    context = SimpleNamespace(applicationId="app-1")
    answers = {"/json/": said(running=[("app-1", 1), ("app-0", 9)], ended=[("app-0", 0)]), "/log": "why"}
    with page(answers) as one, page({}) as other:
        watch = Watch(context, [Node(1, 1, one), Node(1, 1, other), Node(1, 1, "")])
        watch.look()
        assert (watch.num_ended, watch.num_running, watch.num_silent) == (0, 1, 2)
        answers["/json/"] = said(ended=[("app-1", 1)])
        watch.look()
        assert watch.num_ended == 1 and not watch.is_repeated, "one may be an accident, and is replaced"
        answers["/json/"] = said(ended=[("app-1", 1), ("app-1", 2)])
        watch.start()
        deadline = time.monotonic() + 30
        while not watch.is_repeated and time.monotonic() < deadline:
            time.sleep(0.01)
        watch.stop()
        assert watch.num_ended == 2
        assert [(death.executor, death.stderr) for death in watch.deaths()] == [("1", "why"), ("2", "why")]


def test_nodes_that_the_masters_page_calls_dead_are_none(monkeypatch):
    answers: dict[str, str] = {}
    with page(answers) as master, page({"/json/": json.dumps({"masterwebuiurl": master})}) as worker:
        rows = [{"webuiaddress": worker, "state": "ALIVE"}, {"webuiaddress": "http://gone", "state": "DEAD"}]
        answers["/json/"] = json.dumps({"workers": rows})
        known = (Node(1, 1, worker), Node(2, 2, "http://gone"))
        monkeypatch.setattr(standalone, "registered", lambda *whatever: known)
        assert standalone.nodes(None, "spark://host:7077") == known[:1]
    assert standalone.nodes(None, "spark://host:7077") == known, "no page answers: the master's word it is"
