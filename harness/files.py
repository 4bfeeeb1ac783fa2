"""Whole files under a root, written so that a reader sees all of a file or none of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.errors import BadInput


class LocalFiles:
    """Files of a local (or mounted) folder. Names are relative, with forward slashes, and never leave the root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where a file lies; `BadInput` for a name that would leave the root."""
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            raise BadInput(f"{name!r} is not a name inside the store.")
        return self.root.joinpath(*parts)

    def names(self, folder: str, suffix: str) -> list[str]:
        """Names (without folder and suffix) of the files of a folder that end in `suffix`, sorted; one listing."""
        try:
            with os.scandir(self.path(folder)) as entries:
                return sorted(e.name[: -len(suffix)] for e in entries if e.name.endswith(suffix))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError if there is none."""
        return self.path(name).read_bytes()

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path(name).exists()

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        with self.writing(name) as file:
            file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to, there once the body ends: a temporary one beside it, fsync, replace, fsync of the folder.

        If the body raises, nothing is left behind, and what was there stays.
        """
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp files are private to their owner; a shared store needs what the umask allows.
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""
        self.path(name).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        """Rename a file within the root."""
        target = self.path(to)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path(name).replace(target)


def _umask() -> int:
    # There is no way to read the umask but to set it; 0o022 is put back at once.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # Without this a crash of the machine may forget the rename. Not every system can open folders.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
