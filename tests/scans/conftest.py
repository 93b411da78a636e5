"""Small synthetic scans: a bumpy grid with a nose, in the corpora's own file formats."""

import importlib.util
import sys
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("scan_files", Path(__file__).with_name("scan_files.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
sys.modules["scan_files"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["scan_files"])
