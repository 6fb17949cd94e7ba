"""Everything measured, in one SQLite file: append-only, durable at every record, one writer, many readers.

``writer`` appends, ``reader`` gives data frames, ``export`` and ``bundle`` carry results elsewhere.
``schema`` holds the tables and their history. See ``docs/store.md``.
"""
