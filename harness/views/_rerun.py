"""The command that runs a cell of an experiment again, from the commands that asked for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from harness.record import Asked


def rerun(asked: Asked, cell: Mapping[str, Any], store: str, *options: str, fold: bool = True) -> str:
    """`spadit run ...` for one cell (for all its folds without `fold`), with further options such as `--stale`.

    The source, its preset and the data folders are those that were typed. `--seeds` takes a number of seeds, not one:
    where it was given, as many are asked for as reach the cell's, and the earlier ones are run too if they are missing.
    """
    typed = list(_runs(asked))
    if (search := searched(asked)) is not None:  # the settings are its, and it finds them again
        words = shlex.split(search)
        if "--store" in words[:-1]:
            words[words.index("--store") + 1] = store
        else:
            words += ["--store", store]
        return shlex.join([*words, *(each for each in options if each == "--retry-failed")])
    source = typed[0][0] if typed else asked.name
    presets = [preset for words in typed for preset in _values(words, "--preset")][:1]
    folders = dict.fromkeys(folder for words in typed for folder in _values(words, "--data"))
    counts = [int(count) for words in typed for count in _values(words, "--seeds") if count.isdigit()]
    words = ["spadit", "run", source, "--store", store]
    words += [word for preset in presets for word in ("--preset", preset)]
    words += [word for folder in folders for word in ("--data", folder)]
    words += ["--dataset", cell["dataset"], "--variant", cell["label"]]
    words += ["--fold", str(cell["fold"])] if fold else []
    words += ["--seeds", str(cell["seed"] + 1)] if any(count > cell["seed"] for count in counts) else []
    return shlex.join([*words, *options])


def runs_by_name(asked: Asked) -> bool:
    """Whether `spadit run` asked for it; else a script or `spadit score` did, and that is what to run again."""
    return any(True for _ in _runs(asked))


def searched(asked: Asked) -> str | None:
    """The `spadit tune` that last asked for it; None where that was another verb, or a script."""
    tunes = [command for command in asked.commands if "tune" in shlex.split(command)[:-1]]
    return tunes[-1] if tunes and not runs_by_name(asked) else None


def _runs(asked: Asked) -> Iterator[list[str]]:
    """What followed `run` in each `spadit run` that asked for the experiment."""
    for command in asked.commands:
        words = shlex.split(command)
        if "run" in words[:-1]:
            yield words[words.index("run") + 1 :]


def _values(words: list[str], option: str) -> Iterator[str]:
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == option and after:
            yield after
        elif word.startswith(f"{option}="):
            yield word.partition("=")[2]
