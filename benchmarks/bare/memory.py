"""Imported first, before there is a second thread: keeps memory that is freed, where the settings say so."""

import ctypes
import json
import sys
from pathlib import Path

if json.loads(Path(sys.argv[1]).read_text())["keep_memory"]:
    for _option, _value in ((-8, 1), (-4, 0), (-1, -1), (-2, 64 << 20)):
        ctypes.CDLL(None).mallopt(_option, _value)
