# %% [markdown]
# # A study in a notebook
# Editors that know `# %%` run this file cell by cell; `python notebook.py` runs it whole. Here with the
# study `smoke`, which needs no framework and whose figures mean nothing: put yours in its place.

# %% Load: all mistakes of the file, and of overrides, at once
import polars as pl

import bakeoff
from bakeoff.report import figures

study = bakeoff.load("smoke", ["repeats=3", "epochs=5"])
print(f"{study.title}: {len(study.trials)} trials, {study.repeats} repeats")

# %% Run what is missing of it; interrupt and run this cell again, and it goes on
tally = bakeoff.run(study, store="notebook.sqlite", tell=print)
print(tally.counts)

# %% Frames, in polars; the columns are described in docs/store.md
results = bakeoff.open_results("notebook.sqlite")
runs, epochs = results.runs(study.name), results.epochs(study.name)
print(
    runs.filter(pl.col("status") == "ok")
    .group_by("label", maintain_order=True)
    .agg(pl.col("train_s").mean(), pl.col("final_validation_error").mean())
)

# %% The report's figures: shown by a notebook, or saved
error = figures.error_per_epoch(epochs)
error.save("error.html")
figures.execution_times(runs).save("times.html")
