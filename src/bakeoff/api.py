"""A study, run from Python: what ``bakeoff run`` does, without its report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bakeoff import session
from bakeoff.cli import downloads
from bakeoff.cli import progress as display
from bakeoff.cli.console import tell
from bakeoff.execute import Listener, Tally
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
    in a terminal and as lines elsewhere; False shows nothing. A listener of your own takes the table's place:
    it is told of each run and record while the run waits. data_directory: is searched for data sets before
    any download. verify: whether contestants are first shown to train the same thing, once.

    Raises:
        StudyError: the study has mistakes.
        StoreError: the store can't be written, or another process writes it.
        MachineError: a GPU is asked for on a machine without one, or contestants that alternate don't fit
            into memory together.
        KeyboardInterrupt: the user stopped it; the same call goes on with what is missing.
    """
    chosen = study if isinstance(study, Study) else load(study)
    is_shown = progress is not False
    own = progress if isinstance(progress, Listener) else None
    with closing(own or display.listener(quiet=not is_shown, as_json=False)) as listener:
        return session.complete(
            chosen,
            Path(store).expanduser(),
            listener=listener,
            tell=tell if is_shown else lambda line: None,
            downloads=downloads.shown(tell) if is_shown else None,
            data_directory=None if data_directory is None else Path(data_directory),
            verify=verify,
        )
