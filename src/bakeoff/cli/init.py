"""``bakeoff init``: a first study file for a model and data, after a look at them."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import numpy as np

from bakeoff import datasets, study
from bakeoff.cli.console import say
from bakeoff.cli.progress import Lines
from bakeoff.errors import StudyError, UsageError
from bakeoff.registry import backends
from bakeoff.study import MODELS
from bakeoff.study.draft import DataFacts, draft

# What each contestant has, and a network may import.
_OF_ALL = {"keras", "numpy"}


def main(arguments: argparse.Namespace) -> int:
    """Look at model and data, write the file; 0."""
    target: Path = arguments.output
    if target.suffix != ".toml":
        raise UsageError(f"--output {target}: expected a name that ends in .toml")
    if target.exists() and not arguments.force:
        raise UsageError(f"{target} exists", "name another with --output, or overwrite it with --force")
    has_one_output: bool | None = False  # no built-in network has
    if arguments.model not in MODELS:
        has_one_output = _has_one_output(_checked_model(Path(arguments.model)))
    with closing(Lines()) as listener:
        prepared = datasets.ensure(arguments.data, image_size=arguments.image_size, listener=listener)
    about = json.loads((prepared.path / "about.json").read_text(encoding="utf-8"))
    facts = DataFacts(
        source=_as_named(arguments.data, datasets.catalogue(), target),
        image_size=arguments.image_size,
        image_shape=prepared.image_shape,
        num_train=prepared.num_train,
        num_test=prepared.num_test,
        class_sizes=np.bincount(np.load(prepared.path / "y_train.npy")).tolist(),
        class_names=about["class_names"],
        notes=prepared.notes,
    )
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", target.stem)
    model = _as_named(arguments.model, MODELS, target)
    text = draft(name, model, facts, has_one_output=has_one_output)
    target.write_text(text, encoding="utf-8")
    study.load(target)  # what we write, we must be able to read
    say(f"{target} written. Next: bakeoff plan {target}, then bakeoff run {target}")
    return 0


def _as_named(name: str, known: Collection[str], target: Path) -> str:
    """A catalogue name as it is, a path relative to the study file's folder where it can be."""
    if name in known:
        return name
    return Path(os.path.relpath(Path(name).expanduser(), target.absolute().parent)).as_posix()


def _has_one_output(model: ast.Module) -> bool | None:
    """True where a layer ``Dense(1, activation="sigmoid")`` stands in the file; None: it can't be told."""
    for node in ast.walk(model):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Dense":
            values = [
                ast.unparse(value) for value in (*node.args, *(keyword.value for keyword in node.keywords))
            ]
            if values[:1] == ["1"] and "'sigmoid'" in values:
                return True
    return None


def _checked_model(path: Path) -> ast.Module:
    """The file's syntax tree, if it defines build() and asks for no framework by name; nothing of it runs.

    Raises:
        StudyError: it doesn't, with all that is wrong.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(
            [f"{path}: can't be read ({error.strerror}); expected a file or one of {', '.join(MODELS)}"],
            "name the file that builds your network",
        ) from error
    except (SyntaxError, ValueError) as error:
        raise StudyError([f"{path}: is no Python: {error}"], "run `python -m py_compile` on it") from error
    problems = []
    frameworks = {module for record, _ in backends().values() for module in record.modules} - _OF_ALL
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not any(function.name == "build" for function in functions):
        problems.append(f"{path}: has no function build(input_shape, num_classes) that returns the network")
    for node in ast.walk(tree):
        modules = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        problems += [
            f"{path}, line {node.lineno}: imports {module}, which only one contestant has; "  # type: ignore[attr-defined]
            "expected Keras alone: `from keras import layers, models`"
            for module in modules
            if module.partition(".")[0] in frameworks
        ]
    if problems:
        raise StudyError(problems, "docs/models.md shows a network of your own")
    return tree
