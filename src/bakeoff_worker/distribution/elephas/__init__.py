"""Keras models on Spark through Elephas, the real library, its files untouched.

driver.py       one run: cluster, application, rounds of fit, what Spark and the tasks say of it
run.py          what the steps of one run share, settled before the cluster is started
application.py  what Spark is told, how it is launched, how far it is, why it failed
releases.py     what each release can do, does, and gets wrong
task.py         what surrounds Elephas's own worker inside an executor: set-up, clocks, counts
data.py         rows for the executors, from the driver's arrays or from Parquet files
accounts.py     Spark's event log and the tasks' own figures, joined
"""
