"""Whole files under a root, written so that a reader sees all of a file or none of it: on a local or mounted folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from harness.errors import BadInput


class StoreFailed(Exception):  # noqa: N818 - it says what happened, as the others do
    """The store cannot be written (full, read-only, out of reach): no fault of any trial, and reason to stop a run."""


class Files(Protocol):
    """What a store asks of the place it lies in. Names are relative, with forward slashes, and never leave the root.

    What is missing raises FileNotFoundError; what cannot be written raises `StoreFailed`.
    """

    @property
    def name(self) -> str:
        """The last part of where it lies."""

    def sizes(self, folder: str, suffix: str) -> dict[str, int]:
        """Bytes of the files of a folder that end in `suffix`, by name without folder and suffix; one listing."""

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""

    def read(self, name: str) -> bytes:
        """The bytes of a file."""

    def exists(self, name: str) -> bool:
        """Whether the file is there."""

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, in place of what was there."""

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to write to, there once the body ends; if the body raises, what was there stays."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a whole small file where there is none; False, and nothing is written, where there is one."""

    def changed(self, name: str) -> float:
        """When a file was last written, in seconds, by the clock of the place it lies in."""

    def opened(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read from, at any place in it."""

    def local(self, name: str, data: bytes) -> Path:
        """A local file with the bytes that were read of `name`; it may go when the process ends."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""

    def move(self, name: str, to: str) -> None:
        """Rename a file within the root."""


def inside(name: str) -> tuple[str, ...]:
    """The parts of a name; `BadInput` for one that would leave the root."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise BadInput(f"{name!r} is not a name inside the store.")
    return parts


class LocalFiles:
    """`Files` of a folder that this machine can reach."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The last part of where it lies."""
        return self.root.resolve().name

    def path(self, name: str) -> Path:
        """Where a file lies; `BadInput` for a name that would leave the root."""
        return self.root.joinpath(*inside(name))

    def sizes(self, folder: str, suffix: str) -> dict[str, int]:
        """See `Files.sizes`."""
        try:
            with os.scandir(self.path(folder)) as entries:
                found = {e.name[: -len(suffix)]: e for e in entries if e.name.endswith(suffix)}
                return {name: found[name].stat().st_size for name in sorted(found) if name}
        except FileNotFoundError:
            return {}

    def folders(self, folder: str) -> list[str]:
        """See `Files.folders`."""
        path = self.path(folder)
        return sorted(p.name for p in path.iterdir() if p.is_dir()) if path.exists() else []

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        return self.path(name).read_bytes()

    def exists(self, name: str) -> bool:
        """See `Files.exists`."""
        return self.path(name).exists()

    def write(self, name: str, data: bytes) -> None:
        """See `Files.write`."""
        with self.writing(name) as file:
            file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """See `Files.writing`: a temporary file beside it, fsync, replace, fsync of the folder."""
        path = self.path(name)
        with _written(path):
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

    def create(self, name: str, data: bytes) -> bool:
        """See `Files.create`. Not kept through a power cut."""
        path = self.path(name)
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                return False
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            return True

    def changed(self, name: str) -> float:
        """See `Files.changed`; on a network file system, the clock is the server's."""
        return self.path(name).stat().st_mtime

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """See `Files.opened`."""
        with self.path(name).open("rb") as file:
            yield file

    def local(self, name: str, data: bytes) -> Path:
        """See `Files.local`: the file itself."""
        return self.path(name)

    def delete(self, name: str) -> None:
        """See `Files.delete`."""
        with _written(self.path(name)):
            self.path(name).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        """See `Files.move`."""
        target = self.path(to)
        with _written(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self.path(name).replace(target)


WHY = {
    errno.ENOSPC: "there is no room left",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.ENOTDIR: "part of the path is a file",
}


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn what the system says of a write that fails into `StoreFailed`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        why = WHY.get(error.errno or 0, error.strerror or str(error))
        raise StoreFailed(f"The store cannot be written ({path}): {why}.") from error


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
