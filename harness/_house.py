"""Whether `models`, `reports` and `experiments` are the rooms of this house.

Those are common folder names. A stray `models/` beside a user's script would be found before ours, in the driver or
in a worker, and fail far away from its cause; so `import harness` looks, and names the intruder.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOMS = ("models", "reports", "experiments")


def check_house() -> None:
    """Raise ImportError naming the folder if a room resolves to another root than the harness's own."""
    root = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        found = _where(room)
        if found is None:
            raise ImportError(
                f"The package {room!r} of the harness in {root} cannot be found; install the project again."
            )
        if found.parent != root:
            raise ImportError(
                f"{found} is found in place of the package {room!r} of the harness in {root}; rename it, or run from "
                "another folder."
            )


def _where(room: str) -> Path | None:
    """The folder (or file) that `import room` finds, resolved."""
    module = sys.modules.get(room)
    if module is not None:
        origin = getattr(module, "__file__", None)
        places = [origin] if origin else list(getattr(module, "__path__", []))
    else:
        spec = importlib.util.find_spec(room)
        if spec is None:
            return None
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    if not places:
        return None
    path = Path(places[0]).resolve()
    return path.parent if path.name == "__init__.py" else path
