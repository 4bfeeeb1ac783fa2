"""Programs that some tests drive: where they are missing, a continuous integration fails and a laptop skips."""

from __future__ import annotations

import os
import shutil

import pytest


def program(package: str, *names: str) -> str:
    """The path of a program, by any of its names.

    Without it the test fails where CI is set, and is skipped with a reason elsewhere.
    """
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    said = f"{names[0]} is not installed (Debian: apt-get install {package})"
    if os.environ.get("CI"):
        pytest.fail(f"{said}; a continuous integration has to install it")
    pytest.skip(said)
