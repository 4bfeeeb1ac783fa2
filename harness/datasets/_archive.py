"""Unpacking an archive that nobody vouches for: plain files inside one folder, no more bytes than allowed."""

from __future__ import annotations

import errno
import os
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Any

from harness.errors import BadInput

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MOST_FILES = 100_000
CHUNK = 2**20

# What zipfile, tarfile and gzip raise for a damaged or encrypted archive.
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RuntimeError, LookupError,
    ArithmeticError, MemoryError,
)  # fmt: skip


def unpack(archive: Path, folder: Path, largest: int) -> None:
    """Write every file of an archive under `folder`, which must be empty.

    largest: bytes that may be written in all. Raises `BadInput` naming the archive, perhaps with part of it written:
    for a link or device, a name that leaves the folder or is there twice, too many bytes or files, and damage.
    """
    left, files = largest, 0
    try:
        with closing(_members(archive)) as members:
            for name, content in members:
                files += 1
                if files > MOST_FILES:
                    raise BadInput(f"{archive.name} has over {MOST_FILES} files; expected a pair, so repack it.")
                left -= _write(archive, name, content, folder, left)
    except BadInput:
        raise
    except _DAMAGE as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        reason = " ".join(str(error).split())[:120].rstrip(". ") or type(error).__name__
        raise BadInput(
            f"{archive.name} is damaged or cannot be unpacked ({reason}); expected a whole archive "
            f"({', '.join(SUFFIXES)}), so fetch or pack it again."
        ) from None


def _write(archive: Path, name: str, content: IO[bytes], folder: Path, left: int) -> int:
    target = folder.joinpath(*PurePosixPath(name).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as file:  # x: a name that is there twice is refused
        while chunk := content.read(CHUNK):
            written += len(chunk)
            if written > left:
                raise BadInput(
                    f"{archive.name} unpacks to more than is allowed (at {name!r}); expected a pair of usual size, so "
                    "allow more or unpack it yourself."
                )
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return written


def _members(archive: Path) -> Generator[tuple[str, Any], None, None]:
    """Name and open content of every plain file; `BadInput` for anything that is neither that nor a folder."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                kind = entry.external_attr >> 28  # the file type of Unix, 0 where other systems packed it
                _check_name(archive, entry.filename, kind in (0, 0o4, 0o10))
                if not entry.is_dir():
                    with packed.open(entry) as content:
                        yield entry.filename, content
        return
    with tarfile.open(archive) as packed_tar:
        for member in packed_tar:
            _check_name(archive, member.name, member.isreg() or member.isdir())
            if member.isreg():
                opened = packed_tar.extractfile(member)
                assert opened is not None  # it is one for every regular file
                with opened as content:
                    yield member.name, content


def _check_name(archive: Path, name: str, plain: bool) -> None:
    if not plain:
        raise BadInput(
            f"{archive.name} holds {name!r}, a link or device; expected files and folders only, so pack it without."
        )
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or name[1:2] == ":":
        raise BadInput(
            f"{archive.name} holds the name {name!r}, which may leave the folder; expected plain names inside it, so "
            "pack it again."
        )
