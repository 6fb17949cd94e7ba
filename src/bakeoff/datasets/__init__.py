"""Image data sets by name or path: found or fetched, verified, and cached as plain arrays."""

from bakeoff.datasets.catalogue import Entry, catalogue
from bakeoff.datasets.entries import Prepared
from bakeoff.datasets.parquet import parquet_files
from bakeoff.datasets.prepare import Status, Verification, ensure, fetch, known, status, verify

__all__ = [
    "Entry",
    "Prepared",
    "Status",
    "Verification",
    "catalogue",
    "ensure",
    "fetch",
    "known",
    "parquet_files",
    "status",
    "verify",
]
