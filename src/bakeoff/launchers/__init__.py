"""How a job becomes records: each launcher is a callable from a `Launch` to an iterator of records.

The iterator ends with exactly one `RunEnded`. Asking it for the next record says that the last one is safe.
"""
