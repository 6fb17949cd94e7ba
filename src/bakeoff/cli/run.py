"""``bakeoff run``: load, run what is missing, report."""

from __future__ import annotations

import argparse
from contextlib import closing

from bakeoff import session
from bakeoff.cli import progress, summary
from bakeoff.cli.consent import consent
from bakeoff.cli.overrides import study_of
from bakeoff.cli.stores import store_path
from bakeoff.errors import FAILED, UNDECIDED


def main(arguments: argparse.Namespace) -> int:
    """Run what is missing of the study; 0 if all runs ended well, 1 if not.

    9 if they did, and a study that runs until decided has undecided comparisons.
    """
    chosen = study_of(arguments)
    store = store_path(arguments)
    with closing(progress.listener(quiet=arguments.quiet, as_json=arguments.json)) as listener:
        tally = session.run(
            chosen,
            store,
            listener=listener,
            data_directory=arguments.data_dir,
            verify=not arguments.no_verify,
            farm=arguments.farm,
            consent=consent(arguments),
        )
    if not arguments.json:
        summary.conclude(store, chosen.name, arguments)
    if not tally.all_ok:
        return FAILED
    return UNDECIDED if tally.num_undecided else 0
