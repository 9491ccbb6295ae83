"""Where the browser is that pages are looked at with, in all tests."""

from __future__ import annotations

import os
from pathlib import Path

CHROMIUM = Path(os.environ.get("CHROMIUM") or "/usr/bin/chromium")
MISSING = f"there is no Chromium at {CHROMIUM}: set CHROMIUM to its path"
