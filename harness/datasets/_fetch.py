"""Downloading a pair: whole, checked and read once before it appears under its name, or not there at all."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BadInput
from harness.pair import read_pair
from harness.reading.uri import located, remote, shown

from ._archive import unpack
from ._base import LAYOUT
from ._download import Download, Patience, Progress
from ._folders import SAFE, Files, pair_files
from ._urls import ARCHIVES, Wanted, wanted_files

LARGEST = 64 * 2**30
"""Bytes an archive may unpack to, if nothing else is said."""
SOURCE = "source.json"
"""File in the pair's folder that says where it came from: the URLs, without secrets, and the SHA-256 of each."""


def fetch(
    name: str,
    urls: Sequence[str] | str,
    folder: Path | str,
    sha256: Sequence[str] = (),
    *,
    progress: Progress | None = None,
    patience: Patience = Patience(),  # noqa: B008 - frozen
    largest: int = LARGEST,
) -> Path:
    """Download a pair to `folder/NAME` and return that folder.

    urls: http, https or file; either one archive (.zip, .tar, .tar.gz, .tgz) that holds a pair in either layout, at its
    top or inside one folder, or the two files, whose names say which half they are (sc.h5ad, NAME_st.csv.gz ...), and
    what may lie beside them (spatial.csv, cell_types.csv). sha256: a hexadecimal sum for each URL, or none.
    progress: called with the bytes of the current file that are there and those expected. largest: bytes an archive may
    unpack to. A download that was cut goes on where it was when the same call is made again. Of two processes that
    fetch the same pair one waits and finds it done; the empty file `.NAME.lock` they use stays.
    Raises `BadInput` where `folder/NAME` is there already, and for whatever cannot be downloaded, unpacked or read.
    """
    from filelock import FileLock

    target = _target(name, folder)
    wanted = wanted_files((urls,) if isinstance(urls, str) else tuple(urls), tuple(sha256))
    if target.exists():
        raise _there(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f".{name}.lock"):
            if not target.exists():
                _fetch(wanted, target, patience, progress, largest)
            elif _source(target) != [shown(one.url) for one in wanted]:
                raise _there(target)  # by another process that was faster, but from somewhere else
    except OSError as error:
        raise BadInput(
            f"{target} cannot be written ({error.strerror or error}); expected a folder with room that you may write, "
            "so make room or choose another."
        ) from None
    return target


def _fetch(wanted: list[Wanted], target: Path, patience: Patience, progress: Progress | None, largest: int) -> None:
    work = target.parent / f".{target.name}.fetching"
    work.mkdir(exist_ok=True)
    _tidy(work, wanted)
    try:
        sums = [_retrieve(one, work, patience, progress) for one in wanted]
    except BaseException:
        if not any(work.iterdir()):
            work.rmdir()
        raise  # what has arrived stays for the next attempt
    try:
        staged = _staged(wanted, work, target.name, largest)
        _check(staged, wanted)
        source = [{"url": shown(one.url), "sha256": sha256} for one, sha256 in zip(wanted, sums, strict=True)]
        (staged.folder / SOURCE).write_text(json.dumps({"fetched": source}, indent=2) + "\n")
        staged.folder.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _tidy(work: Path, wanted: list[Wanted]) -> None:
    """Leave of an earlier attempt, killed perhaps, what has arrived of the same files, and nothing else."""
    kept = {f"{one.file}{suffix}" for one in wanted for suffix in ("", ".part", ".part.json")}
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()


def _retrieve(one: Wanted, work: Path, patience: Patience, progress: Progress | None) -> str:
    """Download one file into `work`, and its SHA-256."""
    import pooch

    whole, part = work / one.file, work / f"{one.file}.part"
    if whole.exists():  # of an attempt that failed later: its last byte is asked for again, so that it is not stale
        whole.replace(part)
    try:
        with _quiet():
            pooch.retrieve(one.url, one.sha256, one.file, work, downloader=Download(part, patience, progress))
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        found = [text for text in re.findall(r"\b[0-9a-f]{64}\b", str(error)) if text != one.sha256]
        raise BadInput(
            f"{shown(one.url)} has the SHA-256 {found[0] if found else 'of another file'}; expected {one.sha256}, so "
            "check the sum and the address, and try again: what had arrived is removed."
        ) from None
    return one.sha256 or str(pooch.file_hash(str(whole)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pooch from logging URLs, which may hold a password."""
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _staged(wanted: list[Wanted], work: Path, name: str, largest: int) -> Files:
    """The pair in `work`, in a folder of its own with its final names."""
    unpacked, staged = work / "unpacked", work / "pair" / name
    unpacked.mkdir()
    staged.parent.mkdir()
    if not wanted[0].file.endswith(ARCHIVES):
        for one in wanted:
            (work / one.file).rename(unpacked / one.file)
        unpacked.rename(staged)
    else:
        archive = work / wanted[0].file
        unpack(archive, unpacked, largest)
        archive.unlink()
        found = _found(unpacked, name, shown(wanted[0].url))
        found.folder.rename(staged)
        for file in (found.sc, found.st):
            if file is not None and file.parent.name in ("sc", "st") and file.parent != found.folder:
                half = file.parent.name  # the paper's layout repeats the pair's name in those of its files
                form = file.name[file.name.rindex(f"_{half}.") + len(half) + 1 :]
                (staged / half / file.name).rename(staged / half / f"{name}_{half}{form}")
    files = pair_files(staged)
    assert files is not None  # it was found, or downloaded by name
    return files


def _found(unpacked: Path, name: str, url: str) -> Files:
    """The pair that an archive holds, at its top or inside one folder."""
    candidates = [(unpacked, name)]
    for child in sorted(unpacked.iterdir()):
        if child.is_dir() and child.name != "__MACOSX":
            candidates += [(child, child.name), (child, name)]
    found: dict[Path, Files] = {}
    for folder, called in candidates:
        if folder not in found and (files := pair_files(folder, called)) is not None:
            found[folder] = files
    if len(found) > 1:
        raise BadInput(
            f"{url} holds several pairs ({', '.join(folder.name for folder in found)}); expected one, so unpack it "
            "yourself into a data folder."
        )
    if not found:
        held = ", ".join(child.name for child in sorted(unpacked.iterdir())[:5]) or "nothing"
        raise BadInput(
            f"{url} holds no pair but {held}; expected, for D/NAME its top or one folder in it, {LAYOUT}, so check "
            "the address and the name."
        )
    return next(iter(found.values()))


def _check(files: Files, wanted: list[Wanted]) -> None:
    """Raise `BadInput` where what came is no pair that can be read."""
    came = ", ".join(shown(one.url) for one in wanted)
    if files.sc is None or files.st is None:
        half = "sc" if files.sc is None else "st"
        raise BadInput(f"{came} holds no {half} half; expected {LAYOUT}, so check the address.")
    try:
        read_pair(files.folder.name, files.sc, files.st)
    except BadInput as error:
        text = str(error).replace(f"{files.folder}/", "")
        raise BadInput(f"what {came} gave is no pair that can be used: {text}") from None


def _target(name: str, folder: Path | str) -> Path:
    from . import known

    if not SAFE.fullmatch(name):
        raise BadInput(f"{name!r} cannot name a dataset; expected letters, digits, '.', '_' and '-' only (80 at most).")
    if name in known() and not known()[name].from_folders:
        raise BadInput(f"{name} is the name of a bundled dataset; expected another, so choose one.")
    place = located(folder)
    if remote(place):
        raise BadInput(f"{shown(place)} is not local; expected a folder of this machine to download to.")
    return place.resolve() / name


def _there(target: Path) -> BadInput:
    return BadInput(f"{target} is there already; expected a new name, so choose another or remove that folder.")


def _source(target: Path) -> list[str]:
    try:
        return [str(one["url"]) for one in json.loads((target / SOURCE).read_text())["fetched"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []
