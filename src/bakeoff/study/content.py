"""The user's own contestants, models and data files: found, and looked into as far as is safe."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path

from bakeoff.study.definitions import DATASETS
from bakeoff.study.document import Place, Problems
from bakeoff.study.schema import names, suggestion
from bakeoff_worker.models.catalogue import MODELS

_KNOWN: Mapping[str, tuple[str, ...]] = {"model": tuple(MODELS), "dataset": tuple(DATASETS), "contestant": ()}
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "model": (".py",),
    "dataset": (".npz", ".parquet", ".csv", ".py"),
    "contestant": (".py",),
}
_OWN: Mapping[str, str] = {
    "model": "the path of a Python file with `build(input_shape, num_classes)`",
    "contestant": "the path of a Python file with `class Backend(Inspectable)`",
    "dataset": "the path of a `.npz`, `.parquet`, `.csv` or `.py` file, or of a folder of images or tables",
}


def is_own(key: str, value: str) -> bool:
    """Whether a resolved ``model`` or ``dataset`` is the user's own rather than built in."""
    return value not in _KNOWN[key]


def resolve(key: str, value: str, place: Place, problems: Problems) -> str | None:
    """A built-in name as it is, the user's own file as an absolute path; None, and a problem, for neither."""
    if value in _KNOWN[key]:
        return value
    path = problems.document.path(value, place)
    if not exists(path):
        if Path(value).suffix in _SUFFIXES[key] or "/" in value or os.sep in value:
            problems.add(place, f"no such file: `{path}`{suggestion(value, _KNOWN[key])}")
        else:
            got = f"got `{value}`{suggestion(value, _KNOWN[key])}"
            known = f"one of {names(_KNOWN[key])}, or " if _KNOWN[key] else ""
            problems.add(place, f"expected {known}{_OWN[key]}; {got}")
        return None
    is_folder = key == "dataset" and path.is_dir()
    if not is_folder and path.suffix not in _SUFFIXES[key]:
        problems.add(place, f"expected {_OWN[key]}; got `{path}`")
        return None
    if path.suffix == ".py":
        defined, num_arguments = {
            "model": ("build", 2),
            "dataset": ("load", 0),
            "contestant": ("Backend", None),
        }[key]
        mistake = _python_mistake(path, defined, num_arguments)
        if mistake:
            problems.add(place, f"`{path}`{mistake}")
            return None
    return str(path)


def exists(path: Path) -> bool:
    """Whether something that we may see is there; names that no file can have are not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def build_options(path: Path) -> frozenset[str] | None:
    """Names that a model file's `build` takes beyond its first two arguments; None if it takes any."""
    function = _top_level(ast.parse(path.read_bytes()), "build")
    if not isinstance(function, ast.FunctionDef) or function.args.kwarg:
        return None
    arguments = function.args
    positional = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    return frozenset(positional[2:] + [argument.arg for argument in arguments.kwonlyargs])


def recipe(path: Path) -> frozenset[str]:
    """Which of ``compile(model)``, ``optimizer()`` and ``loss()`` a model file defines."""
    tree = ast.parse(path.read_bytes())
    return frozenset(
        name
        for name, num_arguments in (("compile", 1), ("optimizer", 0), ("loss", 0))
        if isinstance(found := _top_level(tree, name), ast.FunctionDef)
        and len(found.args.posonlyargs + found.args.args) - len(found.args.defaults) == num_arguments
    )


def _python_mistake(path: Path, defined: str, num_arguments: int | None) -> str:
    """What is wrong with a Python file that should define a function, or (None arguments) a class.

    The file is read, never run.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        return f", line {error.lineno}: not Python: {error.msg}"
    except (OSError, ValueError) as error:
        return f" can't be read: {error}"
    found = _top_level(tree, defined)
    if num_arguments is None:
        return "" if found else f" defines no class `{defined}`; write `class {defined}(Inspectable)`"
    signature = f"{defined}({', '.join(('input_shape', 'num_classes')[:num_arguments])})"
    if found is None:
        return f" defines no function `{signature}`"
    if not isinstance(found, ast.FunctionDef):
        return ""
    arguments = found.args
    takes = len(arguments.posonlyargs) + len(arguments.args)
    needs = takes - len(arguments.defaults)
    required_keywords = [default for default in arguments.kw_defaults if default is None]
    if needs > num_arguments or required_keywords or (takes < num_arguments and not arguments.vararg):
        return f", line {found.lineno}: expected `{signature}`; got `{defined}({ast.unparse(arguments)})`"
    return ""


def _top_level(tree: ast.Module, name: str) -> ast.stmt | None:
    """The statement that gives a module's `name` its value: a function, an import or an assignment."""
    for statement in reversed(tree.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined = {statement.name}
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            defined = {alias.asname or alias.name for alias in statement.names}
        else:
            defined = {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            defined |= {node.name for node in ast.walk(statement) if isinstance(node, ast.FunctionDef)}
        if name in defined:
            return statement
    return None
