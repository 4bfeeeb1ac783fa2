"""Which files a pair's URLs are, told from their names alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from harness.errors import BadInput
from harness.reading.half import FORMS

from ._archive import SUFFIXES as ARCHIVES

_HALF = re.compile(rf"(?:.+_)?(sc|st)({'|'.join(map(re.escape, FORMS))})")
_BESIDE = re.compile(r"(spatial|cell_types)(\.csv|\.tsv)")


@dataclass(frozen=True)
class Wanted:
    """One file to download, the name it gets here, and its SHA-256 where it is known."""

    url: str
    file: str
    sha256: str | None


def wanted_files(urls: tuple[str, ...], sums: tuple[str, ...]) -> list[Wanted]:
    """What each URL becomes here. Raises `BadInput` for URLs that are no pair, and sums that do not fit them."""
    sums = tuple(text.strip().lower().removeprefix("sha256:") for text in sums)
    wrong = next((text for text in sums if not re.fullmatch(r"[0-9a-f]{64}", text)), None)
    if wrong is not None or len(sums) not in (0, len(urls)):
        what = f"{len(sums)} SHA-256 sums" if wrong is None else f"the SHA-256 {wrong!r}"
        raise BadInput(f"{what} for {len(urls)} URLs cannot be used; expected 64 hexadecimal digits for each, or none.")
    names = [_name(url) for url in urls]
    if len(urls) == 1 and names[0].endswith(ARCHIVES):
        suffix = next(suffix for suffix in ARCHIVES if names[0].endswith(suffix))
        return [Wanted(urls[0], f"archive{suffix}", sums[0] if sums else None)]
    here = [_here(name) for name in names]
    halves = sorted(name[:2] for name in here if name is not None and not _BESIDE.fullmatch(name))
    if None in here or halves != ["sc", "st"] or len(set(here)) < len(here):
        raise BadInput(
            f"the URLs name {', '.join(map(repr, names)) or 'nothing'}; expected one archive ({', '.join(ARCHIVES)}), "
            "or two files whose names say which half they are (sc.h5ad and st.h5ad, or NAME_sc.csv and NAME_st.csv)."
        )
    return [
        Wanted(url, str(file), sums[i] if sums else None) for i, (url, file) in enumerate(zip(urls, here, strict=True))
    ]


def _here(name: str) -> str | None:
    """What a file of that name is called here: sc.h5ad for MG_sc.h5ad; None where the name does not say the half."""
    half = _HALF.fullmatch(name)
    return f"{half[1]}{half[2]}" if half is not None else name if _BESIDE.fullmatch(name) else None


def _name(url: str) -> str:
    """The file name in a URL. Raises `BadInput`, without repeating it, for a URL that cannot be used."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https", "file") and (parts.scheme == "file" or bool(parts.hostname))
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        kind = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url)
        raise BadInput(
            f"a URL beginning with {kind[0] if kind else url[:12]!r} cannot be fetched; expected http://, https:// or "
            "file://, a host and a path, so check how it is written."
        )
    return unquote(parts.path.rpartition("/")[2])
