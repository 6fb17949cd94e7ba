"""Figures with goals, each one command: ``make bench-NAME``. What they mean: docs/benchmarks.md."""
