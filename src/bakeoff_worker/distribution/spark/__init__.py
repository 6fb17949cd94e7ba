"""Spark itself, whatever library trains on it.

`cluster`: a standalone cluster on this machine, and what can be known of anybody's before training.
`guardian`: nothing of a run outlives it, however it dies.
`eventlog`: Spark's own account of an application, read from its event log.
"""
