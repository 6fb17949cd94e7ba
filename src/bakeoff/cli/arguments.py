"""Every command, option and help text; nothing here imports more than argparse."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from bakeoff import __version__

DESCRIPTION = """\
Fair races between deep-learning backends: the same network, data and initial
weights, one process and one environment per run, repeats interleaved, and
verdicts with intervals that may say "undecided".
"""

START_HERE = f"""\
{DESCRIPTION}
Start here:
  bakeoff doctor              what works on this machine, and how to mend the rest
  bakeoff run quick           TensorFlow, JAX, PyTorch and Theano in a few minutes
  bakeoff compare             which is faster, by how much and at what error

Then your own model, data and machine: bakeoff init my_net.py my_images/
All commands: bakeoff --help. Their options: bakeoff COMMAND --help."""

EXIT_CODES = """\
exit codes:
  0 done   1 done, but some runs failed, were skipped or can't run here,
           or contestants differ
  2 command line   3 study
  4 environment   5 data   6 store   7 machine   8 report
  9 all ran well, but what was asked stays undecided   130 interrupted
"""

_REFINE = """\
Try what a user of a backend can set (threads, memory, compilation, layout,
batch, equivalent layers, flags), one by one and combined, in turn with the
contestant as the study has it. The best is then proven on fresh blocks, at an
error that is no worse, or nothing is claimed. Errors are measured on held-out
training images. Stopped, the same command goes on.

  bakeoff refine quick --trial jax --set dataset=mnist --budget 20m"""

# Resource managers: `bakeoff.farm.MANAGERS`, which is not imported for a help text.
_FARMS = ("slurm",)
_STUDIES, _STORED = "_bakeoff_studies", "_bakeoff_stored"
# How shells complete what only the program knows: names of studies, built in or stored, and files of them.
_PREAMBLE: Any = {
    "bash": f"""\
{_STORED}() {{ compgen -W "$(bakeoff studies --names 2>/dev/null)" -- "$1"; }}
{_STUDIES}() {{ {_STORED} "$1"; compgen -f -X '!*.toml' -- "$1"; compgen -d -S / -- "$1"; }}
""",
    "zsh": f"""\
{_STORED}() {{ compadd -- ${{(f)"$(bakeoff studies --names 2>/dev/null)"}} }}
{_STUDIES}() {{ {_STORED}; _files -g '*.toml' }}
""",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = _Parser("bakeoff", DESCRIPTION, EXIT_CODES)
    root.add_argument("--version", action="version", version=f"bakeoff {__version__}")
    root.add_argument(
        "--print-completion",
        action=_Completion,
        choices=tuple(_PREAMBLE),
        help="print what makes this shell complete commands, options and studies",
    )
    commands = root.add_subparsers(
        parser_class=argparse.ArgumentParser,
        title="commands",
        dest="command",
        metavar="COMMAND",
    )

    run = _command(commands, "run", "run", "run a study, or what is missing of it, and report")
    _study(run)
    _master(run)
    _until_decided(run)
    _store(run)
    _farm(run)
    _data_dir(run)
    run.add_argument(
        "--report", type=Path, metavar="FILE", help="where the HTML report goes (default: STUDY-report.html)"
    )
    run.add_argument(
        "--no-verify",
        action="store_true",
        help="don't verify first that contestants train the same thing: comparisons are marked uncertified",
    )
    _yes(run)
    run.add_argument("--no-report", action="store_true", help="stop after the screen")
    shown = run.add_mutually_exclusive_group()
    shown.add_argument("--quiet", "-q", action="store_true", help="print only errors and the report's path")
    shown.add_argument(
        "--json", action="store_true", help="print every record as a line of JSON, nothing else"
    )

    plan = _command(
        commands, "plan", "plan", "show what a study would run, in which order, and how long it may take"
    )
    _study(plan)
    _master(plan)
    _until_decided(plan)
    _farm(plan)
    _store(plan)
    plan.add_argument(
        "--to-see",
        type=_difference,
        metavar="3%",
        help="instead, plan for a difference of training times of this size: the cheapest repeats and epochs "
        "on this machine, from its runs or a calibration, and what the study can show as written",
    )
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    plan.add_argument("--all", action="store_true", help="list every run instead of the first and last few")

    init = _command(
        commands, "init", "init", "write a commented study file for your model and data, after a look at them"
    )
    init.add_argument(
        "model", metavar="MODEL", help="a Python file with build(), or a built-in network's name"
    )
    init.add_argument(
        "data", metavar="DATA", help="a folder of images, a data file, or mnist, fashion_mnist, cifar10"
    )
    init.add_argument(
        "--image-size",
        type=int,
        metavar="N",
        help="resize all images to N x N pixels (needed if sizes differ)",
    )
    init.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("study.toml"),
        metavar="FILE",
        help="the study file (default: study.toml)",
    )
    init.add_argument("--force", action="store_true", help="overwrite the file if it exists")

    verify = _command(
        commands, "verify", "verify", "show that contestants train the same thing, or name what differs"
    )
    _study(verify)
    _store(verify)
    _data_dir(verify)
    _yes(verify)
    verify.add_argument(
        "--double", action="store_true", help="compare in double precision, too: shows what rounding hides"
    )
    verify.add_argument("--json", action="store_true", help="print JSON instead of tables")

    profile = _command(commands, "profile", "profile", "show where the contestants' time goes")
    _study(profile)
    _labels(profile, "profile")
    _store(profile)
    _data_dir(profile)
    _yes(profile)
    profile.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="write what frameworks' profilers saw as a Chrome trace, which Perfetto opens",
    )
    profile.add_argument("--json", action="store_true", help="print JSON instead of tables")

    refine = _command(
        commands, "refine", "refine", "find settings that make a contestant faster, and prove it"
    )
    refine.description, refine.formatter_class = _REFINE, argparse.RawDescriptionHelpFormatter
    _study(refine)
    _labels(refine, "refine")
    refine.add_argument(
        "--budget",
        type=_duration,
        default=1200.0,
        metavar="20m",
        help="time for a contestant's runs, such as 90s, 20m or 3h (default: 20m)",
    )
    _store(refine)
    _data_dir(refine)
    refine.add_argument(
        "--no-verify",
        action="store_true",
        help="don't verify first that the winner trains the same thing as the default",
    )
    refine.add_argument("--quiet", "-q", action="store_true", help="print the result only")
    refine.add_argument("--json", action="store_true", help="print JSON instead of tables")

    calibrate = _command(
        commands,
        "calibrate",
        "calibrate",
        "race one contestant against itself: how small a difference can this machine show?",
    )
    calibrate.add_argument(
        "--backend", default="torch", metavar="NAME", help="the contestant to race (default: torch)"
    )
    calibrate.add_argument(
        "--blocks", type=int, metavar="N", help="repeats of every entry (default: 12; with --quick 6)"
    )
    calibrate.add_argument("--quick", action="store_true", help="fewer entries and blocks: a first look")
    calibrate.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the study `calibration`, e.g. --set epochs=5 (may be given again)",
    )
    _store(calibrate)
    _data_dir(calibrate)
    _yes(calibrate)
    calibrate.add_argument("--quiet", "-q", action="store_true", help="print the result only")
    calibrate.add_argument("--json", action="store_true", help="print the result as JSON, nothing else")

    show = _command(commands, "show", "show", "print the results of a study on one screen")
    _chosen_study(show)
    _store(show)
    part = show.add_mutually_exclusive_group()
    part.add_argument("--runs", action="store_true", help="one line per run; failures with their reasons")
    part.add_argument(
        "--certificates", action="store_true", help="which contestants were shown to train the same thing"
    )
    part.add_argument("--warnings", action="store_true", help="what runs warned of, with a remedy for each")
    show.add_argument(
        "--json", action="store_true", help="print JSON instead: the runs, or what another option names"
    )

    compare = _command(
        commands, "compare", "compare", "say which contestants are faster, by how much and at what error"
    )
    _chosen_study(compare)
    _store(compare)
    compare.add_argument(
        "--margin",
        type=_share,
        metavar="2%",
        help="times this close are practically equal (default: the study's, else 2%%)",
    )
    compare.add_argument(
        "--error-margin",
        type=_share,
        metavar="0.25pp",
        help="an error that is higher by less than this is non-inferior (default: the study's, else 0.25pp)",
    )
    compare.add_argument(
        "--target",
        type=_share,
        metavar="1%",
        help="error to be reached (default: the study's, else a built-in one)",
    )
    compare.add_argument("--json", action="store_true", help="print JSON instead of sentences")

    report = _command(commands, "report", "report", "write one self-contained HTML report")
    _chosen_study(report)
    _store(report)
    report.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="HTML file (default: STUDY-report.html)"
    )
    report.add_argument(
        "--figures", default="", metavar="svg,png", help="also write every figure in these formats"
    )
    report.add_argument(
        "--tables", default="", metavar="md,tex", help="also write every table in these formats"
    )
    report.add_argument(
        "--checklist", action="store_true", help="print a reviewer's checklist, filled in, and write nothing"
    )

    export = _command(
        commands, "export", "export", "write the results as tidy tables, or as a bundle to carry elsewhere"
    )
    _chosen_study(export)
    _store(export)
    export.add_argument("--format", choices=("csv", "parquet", "json"), default="csv", help="default: csv")
    export.add_argument(
        "--output", "-o", type=Path, metavar="DIR", help="folder for the tables (default: STUDY-export)"
    )
    export.add_argument(
        "--bundle", type=Path, metavar="FILE", help="write the whole store with its provenance to one file"
    )

    imported = _command(
        commands,
        "import",
        "import_bundle",
        "import a bundle's results into a store; importing it again changes nothing",
    )
    imported.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="file written by `bakeoff export --bundle`"
    )
    _store(imported)

    studies = _command(commands, "studies", "studies", "list the built-in studies and those in the store")
    studies.add_argument("--names", action="store_true", help="print their names only, a line each")
    _store(studies)

    _command(
        commands, "doctor", "doctor", "say what works on this machine, what is missing and what mends it"
    ).add_argument("--json", action="store_true", help="print JSON")

    farm = _command(
        commands, "farm", "farm", "list or cancel jobs that `run --farm` has submitted and not collected yet"
    )
    farm.add_argument("action", choices=("status", "cancel"), help="list them, or end them")
    _completed(
        farm.add_argument(
            "study", nargs="?", metavar="STUDY", help="only those of this study's name or file"
        ),
        _STUDIES,
    )
    farm.add_argument("--farm", choices=_FARMS, default="slurm", help="the resource manager that is asked")
    farm.add_argument("--json", action="store_true", help="print JSON instead of a table")

    env = _command(commands, "env", "env", "list, create, remove or pack the contestants' environments")
    actions = env.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="environments, their state, size and Python")
    create = actions.add_parser("create", help="create environments now instead of on demand")
    create.add_argument("names", nargs="+", metavar="NAME", help="as `bakeoff env list` names them")
    _yes(create)
    remove = actions.add_parser("remove", help="delete environments and their compile caches")
    remove.add_argument("names", nargs="+", metavar="NAME", help="as `bakeoff env list` names them")
    pack = actions.add_parser("pack", help="write an environment to one archive for a cluster's nodes")
    pack.add_argument("name", metavar="NAME", help="as `bakeoff env list` names it")
    pack.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="a .tar.gz (default: NAME.tar.gz in this folder)"
    )

    data = _command(commands, "data", "data", "list, fetch or verify data sets")
    actions = data.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="data sets and their state")
    fetch = actions.add_parser("fetch", help="fetch data sets now instead of on demand")
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help="mnist, fashion_mnist, cifar10 (default: all)"
    )
    fetch.add_argument("--data-dir", type=Path, metavar="DIR", help="look here before any download")
    fetch.add_argument(
        "--source",
        choices=("directory", "system", "mirrors", "packages"),
        help="ask only this kind of source",
    )
    verify = actions.add_parser("verify", help="hash cached arrays again and compare with the catalogue")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all that are cached")
    return root


class _Parser(argparse.ArgumentParser):
    def __init__(self, prog: str, description: str = "", epilog: str = "", **options: object) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,  # type: ignore[arg-type]
        )


class _Completion(argparse.Action):
    """Prints a shell's completion of the whole command line."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, *_: object
    ) -> None:
        import shtab

        print(shtab.complete(parser, shell=str(values), preamble=_PREAMBLE))
        parser.exit()


def _completed(action: argparse.Action, function: str) -> None:
    """Complete an argument by a function of `_PREAMBLE`."""
    action.complete = dict.fromkeys(_PREAMBLE, function)  # type: ignore[attr-defined]  # what shtab looks for


def _share(text: str) -> float:
    """A share of one: ``2%``, ``0.25pp`` or ``0.02``."""
    number, in_hundredths = text.strip(), False
    for unit in ("%", "pp"):
        if number.endswith(unit):
            number, in_hundredths = number.removesuffix(unit).strip(), True
    try:
        value = float(number) / (100 if in_hundredths else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a share such as 2%, 0.25pp or 0.02; got {text!r}")
    return value


def _duration(text: str) -> float:
    """Seconds, of ``90s``, ``20m`` or ``3h``."""
    seconds = {"s": 1, "m": 60, "h": 3600}
    try:
        value = float(text[:-1]) * seconds[text[-1:]]
    except (ValueError, KeyError):
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 20m or 3h; got {text!r}")
    return value


def _difference(text: str) -> float:
    """A difference of times as a fraction: ``3%``, ``0.03`` or ``3``; from 1 on, percent."""
    number = text.strip()
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = -1.0
    if number.endswith("%") or value >= 1:
        value /= 100
    if not 0.0001 <= value <= 10:
        raise argparse.ArgumentTypeError(
            f"expected a difference of times between 0.01% and 1000%, such as 3%, 0.03 or 3; got {text!r}"
        )
    return value


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, module: str, summary: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    command.set_defaults(module=module)
    return command


def _study(command: argparse.ArgumentParser) -> None:
    study = command.add_argument("study", metavar="STUDY", help="a built-in study's name or a TOML file")
    _completed(study, _STUDIES)
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the study, e.g. --set epochs=3 --set repeats=5 (may be given again)",
    )


def _master(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--master",
        metavar="URL",
        help="cluster for the study's distributed trials: spark://HOST:PORT, yarn, k8s://HOST:PORT, or "
        "embedded, which starts one here (short for --set distribution_options.master=URL)",
    )


def _farm(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--farm",
        choices=_FARMS,
        default="",
        help="blocks run as jobs of this resource manager, side by side on a cluster's nodes; the table "
        "[farm] says what they ask for",
    )


def _until_decided(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--until-decided",
        action="store_true",
        help="instead of a fixed number of repeats, add blocks until each comparison is decided or the "
        "budget is spent (short for --set verdicts.until_decided=true)",
    )
    command.add_argument(
        "--max-blocks", type=int, metavar="N", help="budget of a study that runs until decided (default: 50)"
    )
    command.add_argument(
        "--max-hours", type=float, metavar="H", help="the same, in hours of all its runs (default: no limit)"
    )


def _labels(command: argparse.ArgumentParser, does: str) -> None:
    command.add_argument(
        "--trial",
        action="append",
        default=[],
        metavar="LABEL",
        dest="labels",
        help=f"{does} this contestant only (may be given again; default: all of the study)",
    )


def _data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="look for data sets here before any download"
    )


def _yes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--yes",
        "-y",
        action="store_true",
        help="agree to downloads of gigabytes (builds for GPUs), which are else asked for on the terminal",
    )


def _chosen_study(command: argparse.ArgumentParser) -> None:
    study = command.add_argument(
        "study", nargs="?", metavar="STUDY", help="name of a study in the store (default: the one begun last)"
    )
    _completed(study, _STORED)


def _store(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="results file (default: $BAKEOFF_STORE or ./bakeoff.sqlite)",
    )
