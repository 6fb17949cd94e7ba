"""A standalone cluster, up until standard input ends: ``python standalone.py NODES CORES FOLDER JAVA``.

Says its master and the properties that an application on it needs, as a line of JSON. Run with the
interpreter of an environment that has Spark and with Bakeoff's worker package on the path.
"""

import json
import secrets
import sys

from bakeoff_worker.distribution.spark import cluster


def main():
    """Start, say, wait, stop."""
    nodes, cores, folder, java = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    secret = secrets.token_hex(16)
    with cluster.start((nodes, cores), folder, java, executor_memory_mib=2048, secret=secret) as up:
        print(json.dumps({"master": up.master_url, "properties": dict(up.conf)}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
