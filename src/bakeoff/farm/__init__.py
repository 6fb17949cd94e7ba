"""Studies through a resource manager: a job is a block, all of its contestants in one allocation on one node.

managers.py  what a manager is asked, and what it answers; its list names those that there are
slurm.py     Slurm: submission through submitit, everything else by its own programs
job.py       what a job does on its node
journal.py   the records of a job, in a file that the node writes and the submitter reads
ledger.py    jobs that are not collected yet, as folders: they outlive whoever submitted them
staging.py   environments and data on a node's own disk
farm.py      blocks submitted, awaited and collected into the store
"""

from bakeoff.farm.farm import Farm, Job, Order, connect, folder_of, jobs_in
from bakeoff.farm.journal import read_all
from bakeoff.farm.managers import MANAGERS, State

__all__ = ["MANAGERS", "Farm", "Job", "Order", "State", "connect", "folder_of", "jobs_in", "read_all"]
