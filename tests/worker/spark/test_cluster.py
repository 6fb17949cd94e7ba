"""The embedded cluster: its manners with a Java of paper, and the real one."""

import os
import re
import socket
import tempfile
import time
from pathlib import Path

import pytest

from bakeoff import environments
from bakeoff_worker.distribution.spark import cluster
from bakeoff_worker.distribution.spark.cluster import ClusterError

# ---- a master of one's own ----------------------------------------------------------------------


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_master_that_listens_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        cluster.reach(f"spark://127.0.0.1:{server.getsockname()[1]}", timeout_s=5)


def test_one_of_several_masters_is_enough(closed_port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cluster.reach(f"spark://127.0.0.1:{closed_port},127.0.0.1:{port}", timeout_s=5)


def test_a_master_that_is_not_there_is_said_at_once(closed_port):
    started = time.monotonic()
    with pytest.raises(ClusterError, match=f"127.0.0.1:{closed_port} .*refused") as raised:
        cluster.reach(f"spark://127.0.0.1:{closed_port}", timeout_s=5)
    assert time.monotonic() - started < 2
    assert "start-master.sh" in raised.value.hint


@pytest.mark.parametrize("url", ["spark://host", "spark://", "spark://host:port", "spark://http://host:7077"])
def test_an_address_that_is_none_is_said(url):
    with pytest.raises(ClusterError, match="expected spark://HOST:PORT"):
        cluster.reach(url)


def test_a_host_of_no_such_name_is_said():
    with pytest.raises(ClusterError, match=r"nowhere\.invalid:7077"):
        cluster.reach("spark://nowhere.invalid:7077")


@pytest.mark.parametrize("url", ["yarn", "k8s://https://10.0.0.1:6443"])
def test_other_masters_are_left_to_spark(url):
    cluster.reach(url)


# ---- a Java of paper ----------------------------------------------------------------------------

MASTER = "echo 'INFO Master: Starting Spark master at spark://127.0.0.1:7077'"
WORKERS = "echo 'INFO Master: Registering worker 127.0.0.1:{} with 4 cores, 512.0 MiB RAM'"


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """``paper(master=..., worker=...)``: a Java whose daemons are these shell commands, and its Spark."""
    jars = tmp_path / "site" / "pyspark" / "jars"
    jars.mkdir(parents=True)
    (jars.parent / "__init__.py").touch()
    (jars / "spark-core_2.12-3.5.9.jar").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)

    def make(master="sleep 600", worker="sleep 600"):
        java.write_text(
            f'#!/bin/bash\ncase "$*" in\n*deploy.master*) {master} ;;\n*deploy.worker*) {worker} ;;\nesac\n'
        )
        java.chmod(0o755)
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        return {
            "folder": str(folder),
            "java": str(java.parents[1]),
            "executor_memory_mib": 512,
            "secret": "no-one-knows",
        }

    return make


def both(*commands):
    return "; ".join([*commands, "exec sleep 600"])


def two_nodes():
    return both(MASTER, WORKERS.format(1), WORKERS.format(2))


def test_a_cluster_is_up_when_all_its_workers_have_registered(paper):
    with cluster.start((2, 4), **paper(two_nodes())) as up:
        assert up.master_url == "spark://127.0.0.1:7077"
        assert len(up.pids) == 3
        assert 0 < up.started_s < 30


def test_daemons_stay_in_our_session_and_group(paper):
    with cluster.start((2, 4), **paper(two_nodes())) as up:
        for pid in up.pids:
            assert os.getsid(pid) == os.getsid(0)
            assert os.getpgid(pid) == os.getpgrp()


def test_a_cluster_short_of_a_worker_does_not_count_as_up(paper):
    started = time.monotonic()
    with pytest.raises(ClusterError, match="1 of 2 workers registered in time"):
        cluster.start((2, 4), timeout_s=1.0, **paper(both(MASTER, WORKERS.format(1))))
    assert time.monotonic() - started < 10


def test_a_master_that_dies_is_told_with_its_last_lines(paper):
    request = paper("echo first; echo 'Error: it is raining'; exit 1")
    with pytest.raises(ClusterError, match="the master died\nfirst\nError: it is raining") as raised:
        cluster.start((1, 1), **request)
    assert "last lines" in raised.value.hint


def test_a_worker_that_dies_is_told_with_its_last_lines(paper):
    with pytest.raises(ClusterError, match="the workers died\nno room"):
        cluster.start((1, 1), **paper(both(MASTER), worker="echo no room; exit 1"))


def test_a_java_that_is_too_old_is_named_as_the_cause(paper):
    request = paper("echo java.lang.UnsupportedClassVersionError: org/apache/spark/launcher; exit 1")
    with pytest.raises(ClusterError) as raised:
        cluster.start((1, 1), **request)
    assert "too old" in raised.value.hint


def test_nothing_is_left_of_a_start_that_failed(paper, look):
    before = dict(os.environ), tempfile.gettempdir()
    with pytest.raises(ClusterError):
        cluster.start((3, 1), timeout_s=0.5, **paper(both(MASTER)))
    assert (dict(os.environ), tempfile.gettempdir()) == before
    own = [pid for pid in look.members(os.getsid(0)) if int(look.stat(pid)[1]) == os.getpid()]
    assert [pid for pid in own if "java" in Path(f"/proc/{pid}/cmdline").read_text()] == []


def test_no_java_and_no_spark_are_said(paper, tmp_path, monkeypatch):
    request = paper()
    with pytest.raises(ClusterError, match="no Java in") as raised:
        cluster.start((1, 1), **{**request, "java": str(tmp_path)})
    assert "bakeoff doctor" in raised.value.hint
    monkeypatch.syspath_prepend(str(tmp_path / "run"))
    (tmp_path / "run" / "pyspark.py").touch()
    with pytest.raises(ClusterError, match="no Spark in this environment"):
        cluster.start((1, 1), **request)


def test_the_secret_is_in_one_file_of_ours_alone(paper, tmp_path):
    request = paper(two_nodes())
    with cluster.start((2, 4), **request) as up:
        defaults = Path(up.environment["SPARK_CONF_DIR"]) / "spark-defaults.conf"
        assert defaults.stat().st_mode & 0o777 == 0o600
        assert defaults.parent.stat().st_mode & 0o777 == 0o700
        assert "spark.authenticate.secret=no-one-knows" in defaults.read_text().splitlines()
        assert "no-one-knows" not in str(up.conf)
        assert "no-one-knows" not in str(up.environment)
        for pid in up.pids:
            assert "no-one-knows" not in Path(f"/proc/{pid}/cmdline").read_text()


def test_the_environment_is_the_clusters_while_it_is_up_and_ours_again_after(paper, monkeypatch):
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    before = tempfile.gettempdir()
    with cluster.start((2, 4), **paper(two_nodes())) as up:
        assert os.environ["SPARK_LOCAL_IP"] == "127.0.0.1"
        assert os.environ["SPARK_CONF_DIR"] == up.environment["SPARK_CONF_DIR"] != "/etc/spark"
        assert tempfile.gettempdir() == up.environment["TMPDIR"]
    assert os.environ["SPARK_CONF_DIR"] == "/etc/spark"
    assert "SPARK_LOCAL_IP" not in os.environ
    assert tempfile.gettempdir() == before


def test_a_folder_with_blanks_in_its_name_serves(paper, tmp_path):
    folder = tmp_path / "two words"
    folder.mkdir()
    with cluster.start((2, 4), **{**paper(two_nodes()), "folder": str(folder)}) as up:
        options = up.conf["spark.executor.defaultJavaOptions"]
    assert f'"-Djava.io.tmpdir={folder}/tmp"' in options


def test_stopping_ends_all_at_once_even_the_deaf_and_only_once(paper, look, monkeypatch):
    monkeypatch.setattr(cluster, "_STOP_S", 0.5)
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    up = cluster.start(
        (2, 4), **paper(f"{MASTER}; {WORKERS.format(1)}; {WORKERS.format(2)}; {deaf}", worker=deaf)
    )
    below = [pid for pid, _ in cluster._descendants(up.pids)]
    seconds = up.stop()
    assert 0.5 <= seconds < 5
    assert up.stop() == seconds
    assert [pid for pid in (*up.pids, *below) if (look.stat(pid) or "Z")[0] not in "ZX"] == []


# ---- the real one -------------------------------------------------------------------------------


def java_of(origin):
    """Home of this machine's Java, or of the packaged one."""
    if origin == "machine":
        return None
    return environments.java.find("theano_spark", environ={"PATH": ""}).home


@pytest.mark.slow
@pytest.mark.parametrize(
    ("home", "java"),
    [
        ("theano_spark", "machine"),
        pytest.param("theano_spark", "packaged", marks=pytest.mark.exhaustive),
        pytest.param("vintage_spark", "machine", marks=pytest.mark.exhaustive),
    ],
)
def test_a_real_cluster_keeps_to_itself(driver, look, home, java):
    one = driver("look", layout=(2, 2), home=home, java=java_of(java))
    said = one.reach("cluster")
    assert re.match(r"spark://127\.0\.0\.1:\d+$", said["master"])
    executors = one.reach("application")["executors"]
    assert sorted((name, host, cores) for name, host, cores in executors) == [
        ("0", "127.0.0.1", 2),
        ("1", "127.0.0.1", 2),
    ]
    looking = one.reach("looking")
    pids = look.members(one.session)
    assert set(looking["workers"]) <= set(pids)  # Python workers belong to the session whatever their group
    assert len(pids) >= 11  # ourselves, master, 2 workers, driver's JVM, 2 executors, 2 daemons, 2 of Python

    ports = [address for inode, address in look.listening().items() if inode in look.sockets(pids)]
    assert len(ports) >= 10
    assert {address for address, _ in ports} <= look.loopback
    for pid in pids:
        assert b"0123456789abcdef" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    outside = {
        path
        for path in look.written(pids)
        if not (path.is_relative_to(one.folder) or path in (one.log, one.log.parent))
    }
    assert outside == set()
    assert all(Path(folder).is_relative_to(one.folder) for folder in looking["folders"])
    assert len(set(looking["folders"])) == 2  # a folder of its own for each node
    temporary = Path("/tmp")
    assert {int(path.name) for path in temporary.glob("hsperfdata_*/*")}.isdisjoint(pids)
    logs = (one.folder / "logs" / "master").read_text()
    assert "authentication enabled" in logs

    held = look.sockets(pids)
    one.go_on()
    stopped = one.reach("stopped")
    assert one.process.wait(60) == 0
    assert 0 < stopped["seconds"] == stopped["again"] < 20
    assert "SPARK_CONF_DIR" not in stopped["variables"]
    assert look.members(one.session) == []
    assert not held & set(look.listening())
    assert list(one.home.iterdir()) == []
    assert one.folder.exists()  # the caller's


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_studys_layout_comes_up_and_goes_down(driver, look):
    one = driver("idle", layout=(5, 4))
    assert 0 < one.reach("cluster")["seconds"] < 120
    assert 0 < one.reach("stopped")["seconds"] < 20
    assert one.process.wait(60) == 0
    assert look.members(one.session) == []


@pytest.mark.slow
def test_a_layout_that_does_not_fit_is_said_with_what_there_is(driver):
    one = driver("unfit", layout=(2, 1), executors=3, patience_s=20.0)
    said = one.reach("refused")
    # A busy machine may bring up one of the two in that time.
    assert re.search(r"[12] of 3 executors came up within 20 s, with [12] cores? in all", said["message"])
    assert "asked were 3 with 1 cores and 512m of memory each" in said["message"]
    assert "Another application may hold the cores" in said["hint"]
    assert one.process.wait(60) == 0


@pytest.mark.slow
def test_executors_that_start_and_die_are_said_with_their_own_words_and_the_setting(driver):
    one = driver("unreachable", layout=(2, 1))
    said = one.reach("refused")
    assert re.match(r"executors start and die: \d+ ended on [12] nodes? ", said["message"]), said
    assert "one wrote: " in said["message"] and "Connection refused" in said["message"]
    assert "SPARK_LOCAL_IP" in said["hint"] and "127.0.0.9:" in said["hint"]
    assert one.process.wait(60) == 0
