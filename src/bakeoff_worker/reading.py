"""What a program reads while it runs: modules, files, folders, variables, as seen from inside its process.

From Python 3.8 on the interpreter itself tells of every file that Python code opens and every folder that it
lists (PEP 578). Python 3.7 has no such hooks: there `open`, `io.open`, `os.open`, `os.listdir` and
`os.scandir` are wrapped, and a module that could not be imported goes unnoticed. Not seen by either: the
network, the clock, and what native code opens by itself (HDF5 files are seen, if h5py is imported before).
"""

import builtins
import io
import os
import pathlib
import re
import sys
import sysconfig
from typing import Any, Dict, Iterable, List, Set, Tuple

# No files of anybody's: the kernel's and devices'.
_SYSTEM = ("/proc", "/sys", "/dev")
_WORKS_UNSEEN = ("subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn")
_REACHES_OUT = ("socket.connect", "socket.getaddrinfo")
# Libraries with native code that opens files through Python alone, so that all of them are seen.
_OPEN_THROUGH_PYTHON = frozenset(("numpy", "PIL", "scipy", "pandas"))
# Files of Python's that list folders in search of modules and installed packages.
_LOOKS_FOR_MODULES = re.compile(r"[/ ](importlib|importlib_metadata|pkg_resources)\b|[/]pkgutil\.py$")


class Reading:
    """A context manager; `found` tells what was read within.

    leave_out: folders that are nobody's input, such as scratch space. The interpreter's own library and its
    installed packages are left out always: the environment's identity covers them.
    """

    def __init__(self, leave_out: Iterable[str] = ()) -> None:
        places = [place for place in leave_out if place] + list(_SYSTEM) + installed()
        self._left_out = tuple({os.path.realpath(place) + os.sep for place in places})
        self._opened: Set[str] = set()
        self._written: Set[str] = set()
        self._listed: Set[str] = set()
        self._imports: Set[str] = set()
        self._variables: Set[str] = set()
        self._blind_spots: Set[str] = set()
        self._whose: Dict[str, bool] = {}
        self._native_before = _native()
        self._is_on = False
        self._wrapped: List[Tuple[Any, str, Any]] = []

    def __enter__(self) -> "Reading":
        self._is_on = True
        environ = type(os.environ)
        self._wrap(environ, "__getitem__", lambda arguments: self._variables.add(str(arguments[1])))
        if hasattr(sys, "addaudithook"):
            sys.addaudithook(self._hear)  # there is no way to take it off: it goes silent instead
        else:
            self._wrap_openers()
        h5py = sys.modules.get("h5py")
        if h5py is not None:
            self._wrap(h5py.File, "__init__", lambda arguments: self._open((arguments + (-1,))[1], 0))
        return self

    def __exit__(self, *unused: Any) -> None:
        self._is_on = False
        for owner, name, original in self._wrapped:
            setattr(owner, name, original)

    def found(self) -> Dict[str, List[str]]:
        """Absolute paths, sorted: ``paths`` that were read or tried in vain, modules' sources among them, and
        ``folders`` that were listed. ``variables`` that were asked for, by name. ``absent``: modules that the
        program's own code imported in vain. ``blind_spots``: what was done that can't be seen into, in words.
        """
        modules = [path for path in map(_source, list(sys.modules.values())) if path]
        paths = self._outside(self._opened - self._written) + self._outside(modules)
        unknown = _native() - self._native_before - _OPEN_THROUGH_PYTHON
        return {
            "paths": sorted(set(paths)),
            "folders": sorted(set(self._outside(self._listed))),
            "variables": sorted(self._variables),
            "absent": sorted(name for name in self._imports if name not in sys.modules),
            "blind_spots": sorted(self._blind_spots | {"native code of " + name for name in unknown}),
        }

    def _outside(self, paths: Iterable[str]) -> List[str]:
        return [path for path in paths if not _is_below(os.path.realpath(path), self._left_out)]

    # ---- Python 3.8 and later -----------------------------------------------------------------------

    def _hear(self, event: str, arguments: Tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event == "open":
            self._open(arguments[0], arguments[2])
        elif event in ("os.listdir", "os.scandir"):
            self._list(arguments[0])
        elif event == "import":
            if "." not in arguments[0] and self._is_programs(_importer()):
                self._imports.add(arguments[0])
        elif event == "sqlite3.connect":
            self._open(arguments[0], 0)
        elif event in _WORKS_UNSEEN:
            self._blind_spots.add("other processes")
        elif event in _REACHES_OUT:
            self._blind_spots.add("the network")

    def _is_programs(self, file: str) -> bool:
        """Whether code in that file is the program's own: libraries look for much that is not needed."""
        if file not in self._whose:
            self._whose[file] = not _is_below(os.path.realpath(file), self._left_out)
        return self._whose[file]

    def _open(self, path: Any, flags: Any) -> None:
        name = _name(path)
        if name is None or name.endswith((".pyc", ".pyo")):
            return
        writes = isinstance(flags, int) and (
            flags & (os.O_WRONLY | os.O_TRUNC) or (flags & os.O_CREAT and not os.path.exists(name))
        )
        (self._written if writes and name not in self._opened else self._opened).add(name)

    def _list(self, path: Any) -> None:
        name = _name("." if path is None else path)
        caller = sys._getframe(2).f_code.co_filename
        if name is not None and not _LOOKS_FOR_MODULES.search(caller):
            self._listed.add(name)

    # ---- Python 3.7 ---------------------------------------------------------------------------------

    def _wrap_openers(self) -> None:
        def opened(arguments: Tuple[Any, ...]) -> None:
            mode = arguments[1] if len(arguments) > 1 else "r"
            writes = isinstance(mode, str) and mode[:1] in ("w", "x", "a")
            self._open(arguments[0], os.O_WRONLY if writes else 0)

        self._wrap(builtins, "open", opened)
        self._wrap(io, "open", opened)
        self._wrap(os, "open", lambda arguments: self._open(arguments[0], arguments[1]))
        for name in ("listdir", "scandir"):
            self._wrap(os, name, lambda arguments: self._list(arguments[0]))
            # pathlib keeps what it found in `os` when it was imported.
            accessor = getattr(pathlib, "_NormalAccessor")  # noqa: B009  (of old Pythons alone)
            self._wrap(accessor, name, lambda arguments: self._list(arguments[0]), staticmethod)

    def _wrap(self, owner: Any, name: str, note: Any, form: Any = lambda function: function) -> None:
        original, kept = getattr(owner, name), vars(owner)[name]

        def noted(*arguments: Any, **options: Any) -> Any:
            if self._is_on and arguments:
                note(arguments + ((options["mode"],) if len(arguments) == 1 and "mode" in options else ()))
            return original(*arguments, **options)

        self._wrapped.append((owner, name, kept))
        setattr(owner, name, form(noted))


def installed() -> List[str]:
    """Folders of the interpreter's library, of its installed packages, and of this one."""
    known = sysconfig.get_paths()
    places = [known[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [os.path.dirname(os.path.abspath(file)) for file in (os.__file__, __file__)]
    places += [place for place in sys.path if os.path.basename(place) in ("site-packages", "dist-packages")]
    for prefix in (sys.prefix, sys.base_prefix):
        places += [os.path.join(prefix, name) for name in ("lib", "lib64", "bin", "include")]
    return places


def _native() -> Set[str]:
    """Packages with native code in this process, the interpreter's own left out."""
    library = os.path.realpath(os.path.dirname(os.path.abspath(os.__file__)))
    own = (os.path.join(library, "lib-dynload") + os.sep,)
    sources = [(name, _source(module)) for name, module in list(sys.modules.items())]
    return {
        name.partition(".")[0]
        for name, path in sources
        if path.endswith((".so", ".pyd")) and not _is_below(os.path.realpath(path), own)
    }


def _importer() -> str:
    """The file whose code imports something now; called from the hook."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return str(frame.f_code.co_filename)


def _source(module: Any) -> str:
    """The file that a module was made from; empty where there is none."""
    try:
        path = getattr(module, "__file__", None)
    except Exception:  # a lazy module that fails when it is asked
        return ""
    if not isinstance(path, str) or not os.path.isfile(path):
        return ""
    return os.path.abspath(path)


def _name(path: Any) -> Any:
    """The absolute path of a file; None for a descriptor and for a place in memory."""
    if isinstance(path, int):
        return None
    try:
        name = os.fsdecode(path)
        return None if name == ":memory:" else os.path.abspath(name)
    except (TypeError, ValueError):
        return None


def _is_below(path: str, folders: Tuple[str, ...]) -> bool:
    return (path + os.sep).startswith(folders)
