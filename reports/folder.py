"""The folder of a report: all files put in place at once, and those of an earlier report that are no longer part of it
taken away; nothing else in the folder is ever touched."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

Files = dict[str, bytes]

MANIFEST = ".spadit-report.json"
"""What a report wrote into its folder: the SHA-256 of every file by name."""


def put(out: Path, files: Files) -> list[Path]:
    """Write all files to a folder of their own, then move them into place; pages last, the first page first of all."""
    order = sorted(files, key=lambda name: (name == "index.html", name.endswith("index.html"), name))
    beside = out if out.exists() else out.parent
    beside.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".report-", dir=beside))
    try:
        made.chmod(0o755)
        for name, data in {**files, MANIFEST: _manifest(files)}.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(data)
        if out.exists():
            earlier = _earlier(out)
            for name in (*order, MANIFEST):
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).replace(out / name)
            _clear(out, {name: digest for name, digest in earlier.items() if name not in files})
        else:
            made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return [out / name for name in reversed(order)]


def _manifest(files: Files) -> bytes:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    return (json.dumps({"files": digests}, indent=1) + "\n").encode()


def _earlier(out: Path) -> dict[str, str]:
    """Name -> digest of what an earlier report wrote here; empty where that is not known."""
    try:
        found = json.loads((out / MANIFEST).read_bytes())["files"]
        return {str(name): str(digest) for name, digest in found.items() if _inside(str(name))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _inside(name: str) -> bool:
    """Whether a name leads to a file of the folder and nowhere else."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and name != MANIFEST


def _clear(out: Path, stale: Mapping[str, str]) -> None:
    """Remove what is still as it was written, and folders that are empty without it."""
    home = out.resolve()
    for name, digest in stale.items():
        path = out / name
        # What was changed since, or leads elsewhere, is somebody's own by now.
        if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(home):
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            path.unlink()
            _without_empty(path.parent, out)


def _without_empty(folder: Path, out: Path) -> None:
    while folder != out and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
