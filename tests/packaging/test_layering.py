"""Who imports what: the table in docs/architecture.md, and the worker's narrow diet."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from bakeoff import registry
from bakeoff.environments import interpreters

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "src" / "bakeoff_worker"
# Of the worker's packages, all that bakeoff may import; in the table without `bakeoff_worker.`.
OF_THE_WORKER = ("job", "records", "reading", "models.catalogue", "distribution.catalogue", "backends")
SINCE_37 = {"graphlib", "tomllib", "zoneinfo"}  # top-level modules that Python 3.7 does not have


def allowed() -> dict[str, set[str]]:
    """The table's rows on `bakeoff`: module to the modules that it may import, by full name."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|$", text, re.MULTILINE)
    table: dict[str, set[str]] = {}
    for modules, permitted in rows:
        for module in re.findall(r"`([\w.]+)`", modules):
            if not module.startswith("bakeoff_worker"):
                table[f"bakeoff.{module}"] = {_full(name) for name in re.findall(r"`([\w.]+)`", permitted)}
    return table


def _full(name: str) -> str:
    if name == "bakeoff":
        return name
    return f"bakeoff_worker.{name}" if name in OF_THE_WORKER else f"bakeoff.{name}"


def imported() -> Iterator[tuple[str, str]]:
    """Every import between our modules, apart from those that only type checkers see."""
    graph = grimp.build_graph("bakeoff", "bakeoff_worker", exclude_type_checking_imports=True, cache_dir=None)
    for importer in sorted(graph.modules):
        for name in sorted(graph.find_modules_directly_imported_by(importer)):
            yield importer, name


def test_the_code_keeps_to_the_table_of_imports() -> None:
    table = allowed()
    assert len(table) > 10
    strangers = []
    for importer, name in imported():
        part = ".".join(importer.split(".")[:2])
        if importer.startswith("bakeoff.") and not f"{name}.".startswith(f"{part}."):
            permitted = table.get(part, {"bakeoff.cli"} if part == "bakeoff.__main__" else set())
            # The package itself holds the version, and imports nothing until asked.
            if name in ("bakeoff", "bakeoff.wording") or (
                name == "bakeoff.errors" and part != "bakeoff.stats"
            ):
                continue
            if not any(f"{name}.".startswith(f"{one}.") for one in permitted):
                strangers.append(f"{importer} imports {name}")
            # A package of the worker stands for its own names, not for what lies in it.
            elif (
                name.startswith("bakeoff_worker.")
                and name.removeprefix("bakeoff_worker.") not in OF_THE_WORKER
            ):
                strangers.append(f"{importer} reaches into {name}")
    assert strangers == []


def test_the_table_has_every_module() -> None:
    modules = {path.stem for path in (ROOT / "src" / "bakeoff").glob("*.py")}
    packages = {path.parent.name for path in (ROOT / "src" / "bakeoff").glob("*/__init__.py")}
    assert {name.removeprefix("bakeoff.") for name in allowed()} == (
        (modules | packages) - {"__init__", "__main__", "errors", "wording"}
    )


def drawn() -> set[Path]:
    """Files and folders that the layout in docs/architecture.md names, by their indentation."""
    layout = (ROOT / "docs" / "architecture.md").read_text().split("```text\n")[1].split("```")[0]
    found: set[Path] = set()
    above: list[tuple[int, Path]] = []
    for line in layout.splitlines():
        indent, names = len(line) - len(line.lstrip()), line.strip().split("  ")[0].split(", ")
        above = [(depth, path) for depth, path in above if depth < indent]
        for name in names:
            path = (above[-1][1] if above else ROOT) / name
            if "*" not in name and "<" not in name:
                found |= {path, *path.parents}
        above.append((indent, path))
        found |= {path.parent / other for other in re.findall(r"; (\w+\.py):", line)}
    return found


def test_the_layout_is_the_one_that_there_is() -> None:
    named = drawn()
    assert [path for path in named if not path.exists()] == []
    for package in ("bakeoff", "bakeoff_worker"):
        folder = ROOT / "src" / package
        there = {path for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
        left_out = {path.name for path in there - named}
        assert left_out <= {"__init__.py", "__main__.py", "__pycache__", "studies"}, package


def worker_files() -> list[Path]:
    files = sorted(WORKER.rglob("*.py"))
    assert len(files) > 15
    return files


def _imports(tree: ast.AST) -> set[str]:
    """Top-level names that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("path", worker_files(), ids=lambda path: str(path.relative_to(WORKER)))
def test_the_worker_is_python_37_and_lives_on_the_standard_library_and_numpy(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 7))
    foreign = _imports(tree) - set(sys.stdlib_module_names) - {"bakeoff_worker", "numpy"}
    parts = path.relative_to(WORKER).parts
    if parts[0] == "models":
        foreign -= {"keras"}
    elif parts[0] == "backends" and len(parts) > 2:
        foreign -= set(registry.backends()[parts[1]].record.modules)
    elif parts == ("backends", "keras_model.py"):
        foreign -= {"keras"}
    elif parts[:2] == ("distribution", "elephas"):
        foreign -= {"elephas", "py4j", "pyspark"}
    assert foreign - _guarded(tree) == set()
    assert _imports(tree) & SINCE_37 == set()


def _guarded(tree: ast.AST) -> set[str]:
    """Imports with an alternative: in a ``try`` that catches ImportError, or in its handler."""
    guarded = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            caught = {ast.unparse(handler.type) for handler in node.handlers if handler.type}
            guarded |= _imports(node) if "ImportError" in caught else set()
    return guarded


@pytest.mark.parametrize("name", ["job.py", "records.py"])
def test_what_both_sides_read_needs_the_standard_library_alone(name: str) -> None:
    tree = ast.parse((WORKER / name).read_text())
    assert _imports(tree) - set(sys.stdlib_module_names) == set()


def test_the_worker_compiles_on_the_oldest_python_here(tmp_path: Path) -> None:
    searches = (interpreters.find(version).found for version in ("3.7", "3.8", "3.9", "3.10"))
    python = next((str(found.path) for found in searches if found), sys.executable)
    shutil.copytree(WORKER, tmp_path / "bakeoff_worker", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-m", "compileall", "-q", "bakeoff_worker"], check=True, cwd=tmp_path)
    subprocess.run(
        [python, "-c", "import bakeoff_worker.job, bakeoff_worker.records"], check=True, cwd=tmp_path
    )
