"""A barrier around a process: folders it can no longer read, and nowhere but one folder to write.

An audit that lets a method read the original file by its path proves nothing, and neither does one that lets a run
leave notes for the next. Linux's Landlock (5.13 and later) holds both, without privileges, for the process and all that
it starts, for opens in C libraries as well as in Python. It can only be tightened, never lifted.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system call numbers, the same on every architecture
_WRITE, _READ = 1 << 1, 1 << 2
_MAKE = (1 << 7) | (1 << 8) | (1 << 12)  # a folder, a file, a symbolic link
_RENAME, _TRUNCATE = 1 << 13, 1 << 14  # between folders; from the second and third version of the interface
_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_DEVICES = ("/dev", "/proc", "/sys")


def unavailable() -> str | None:
    """Why no barrier can be had here, a clause; None where it can."""
    if not sys.platform.startswith("linux"):
        return f"it needs Linux, and this is {sys.platform}"
    if _version() < 1:
        return "it needs a Linux kernel with Landlock (5.13 or later, not disabled)"
    return None


def seal(hidden: Sequence[Path], writable: Path) -> None:
    """From here on, neither read a file under `hidden` nor write outside `writable`, this process and its children.

    Call it before any thread is started: a thread that runs already is not bound. Raises OSError where the system
    refuses, never half-sealed.
    """
    version = _version()
    reads = _READ
    writes = _WRITE | _MAKE | (_RENAME if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    ruleset = _call(_CREATE, struct.pack("Q", reads | writes), 8, 0)
    try:
        out_of_reach = [Path(os.path.realpath(path)) for path in hidden]
        for place in _around(Path("/"), out_of_reach):
            _allow(ruleset, place, reads)
        for device in _DEVICES:
            _allow(ruleset, Path(device), reads | writes)
        _allow(ruleset, Path(os.path.realpath(writable)), reads | writes)
        if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "the process cannot give up privileges")
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _around(folder: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Everything below a folder but the hidden places, in as few pieces as possible."""
    try:
        entries = sorted(Path(entry.path) for entry in os.scandir(folder) if not entry.is_symlink())
    except OSError:  # a folder that may not be listed may not be allowed either
        return
    for entry in entries:  # links are left out: what they point to has a place of its own
        if entry in hidden:
            continue
        if any(path.is_relative_to(entry) for path in hidden):
            yield from _around(entry, hidden)
        else:
            yield entry


def _allow(ruleset: int, place: Path, access: int) -> None:
    try:
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it has gone, or was never there; what is not allowed stays forbidden
        return
    try:
        if not place.is_dir():
            access &= ~(_MAKE | _RENAME)
        _call(_ADD, ruleset, _BENEATH, struct.pack("=Qi", access, handle), 0)
    finally:
        os.close(handle)


def _version() -> int:
    try:
        return _call(_CREATE, None, 0, 1)
    except OSError:
        return 0


def _call(number: int, *arguments: int | bytes | None) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(library.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock refused ({os.strerror(ctypes.get_errno())})")
    return result
