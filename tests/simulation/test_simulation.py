"""Any schedule of writes, faults, copies and handovers keeps the promises of the design."""

import os
import subprocess
import sys
from pathlib import Path


def test_no_schedule_breaks_a_promise():
    """A few, always the same, so that a failure is one of the change at hand; `make simulate` tries thousands."""
    tried = subprocess.run(
        [sys.executable, "-m", "tests.simulation"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "acknowledged writes" in tried.stdout
