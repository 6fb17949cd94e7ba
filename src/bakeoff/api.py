"""A study, run from Python: what ``bakeoff run`` does, without its report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bakeoff import session
from bakeoff.cli import progress as display
from bakeoff.events import Listener
from bakeoff.execute import Tally
from bakeoff.study import Study, load


def run(
    study: Study | str | Path,
    store: str | Path = "bakeoff.sqlite",
    *,
    progress: bool | Listener = True,
    data_directory: str | Path | None = None,
    verify: bool = True,
) -> Tally:
    """Run what is missing of a study in a store; how many runs ended how.

    study: a loaded one, or what `bakeoff.load` takes. progress: True shows it on standard error, as a table
    in a terminal and as lines elsewhere; False shows nothing. A function of one event (`bakeoff.events`), or
    a `bakeoff.Handler`, takes the table's place: it is told of each run and record while the run waits.
    data_directory: is searched for data sets before any download. verify: whether contestants are first
    shown to train the same thing, once.

    Raises:
        StudyError: the study has mistakes.
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one, or contestants that alternate don't fit
            into memory together.
        EnvironmentFailure: gigabytes of CUDA would be downloaded: `bakeoff env create` asks for them.
        KeyboardInterrupt: the user stopped it; the same call goes on with what is missing.
    """
    chosen = study if isinstance(study, Study) else load(study)
    with closing(display.listener(quiet=progress is False, as_json=False)) as shown:
        return session.run(
            chosen,
            Path(store).expanduser(),
            listener=shown if isinstance(progress, bool) else progress,
            data_directory=None if data_directory is None else Path(data_directory),
            verify=verify,
        )
