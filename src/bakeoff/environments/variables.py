"""Variables of the caller's that reach a worker because they must, and so belong to what it ran in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

# Where libraries and devices are, and where a user's own cluster is described.
STEERING = (
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "SPARK_CONF_DIR",
    "SPARK_LOCAL_IP",
    "HADOOP_CONF_DIR",
    "YARN_CONF_DIR",
)


def digest_with(digest: str, details: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> str:
    """An environment's digest with what else decides how it runs; as it is where there is nothing of it.

    details: what is known beside, such as the compiler's version. Variables that name a folder of settings
    count by the files in it.
    """
    found = {name: environ[name] for name in STEERING if environ.get(name)}
    found |= {name: _files(Path(value)) for name, value in found.items() if name.endswith("_CONF_DIR")}
    found |= details
    if not found:
        return digest
    return hashlib.sha256(json.dumps([digest, sorted(found.items())]).encode()).hexdigest()


def _files(folder: Path) -> str:
    files = sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
    listing = [[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in files]
    return json.dumps(listing)
