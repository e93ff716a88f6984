"""Says in one sentence what a machine lacks before anything is installed on it.

Runs on the machine's own Python, so it uses nothing but the standard library.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        f"alcor-migrate needs Python 3.11 or newer, and this is {sys.version.split()[0]}: "
        "install one and say `make PYTHON=/path/to/python3.11 ...`."
    )
try:
    import ensurepip  # noqa: F401  # present exactly where `python -m venv` works
    import venv  # noqa: F401
except ImportError:
    sys.exit("This Python cannot make virtual environments: `apt-get install python3-venv`, then try again.")
