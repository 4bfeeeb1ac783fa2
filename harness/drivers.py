"""Questions by name or by file: the modules of `experiments/`, and the driver files that users write."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from harness.errors import BadInput
from harness.experiment import Experiment, described, kind_name
from models.component import ComponentError, nearest

Question = TypeVar("Question")

ASKS = {
    "Search": "; `spadit tune` asks it (with --plan: what it comes to)",
    "Experiment": "; `spadit run` asks it",
}
"""What asks a question of the other kind."""


def load_experiment(name_or_path: str, preset: str | None = None) -> Experiment:
    """The experiment of a module in `experiments/` or of a driver file; `BadInput` if there is none to be had.

    preset: one of the module's PRESETS, the same question at another size, instead of its EXPERIMENT.
    """
    found = load_question(name_or_path, Experiment, preset)
    try:
        for variant in found.variants.values():
            described(variant)
    except ComponentError as error:
        raise BadInput(f"{name_or_path}: {error}") from None
    return found


def load_question(name_or_path: str, kind: type[Question], preset: str | None = None) -> Question:
    """The EXPERIMENT of a module or driver file, which is of that kind (a dataclass with a title); see above."""
    if name_or_path.endswith(".py") or "/" in name_or_path:
        return _question_of(load_driver(Path(name_or_path)), name_or_path, kind, preset)
    import experiments

    known = sorted(info.name for info in pkgutil.iter_modules(experiments.__path__) if not info.name.startswith("_"))
    if name_or_path not in known:
        raise BadInput(
            f"There is no experiment {name_or_path!r}; {nearest(name_or_path, known)} A path to a file that defines "
            "EXPERIMENT also works."
        )
    return _question_of(importlib.import_module(f"experiments.{name_or_path}"), name_or_path, kind, preset)


DRIVER_FOLDERS: list[str] = []
"""Where the driver files of this process lie, for workers on this machine to import from as well."""


def load_driver(path: Path) -> ModuleType:
    """A user's file as a module named after its content, so that two versions never share a name.

    It may import what lies beside it, as it could if Python ran it.
    """
    try:
        source = path.read_bytes()
    except OSError:
        raise BadInput(
            f"There is no file {path}; give a Python file that defines EXPERIMENT, or the name of one in experiments/."
        ) from None
    name = f"driver_{hashlib.sha256(source).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} cannot be read as Python; give a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # what lies beside it can be imported, and cannot stand in for anything else
        DRIVER_FOLDERS.append(folder)
    try:
        spec.loader.exec_module(module)
    except BadInput:
        del sys.modules[name]
        raise
    except SyntaxError as error:
        del sys.modules[name]
        raise BadInput(f"{path}, line {error.lineno}: {error.msg}; mend the file and run again.") from None
    except Exception as error:  # a user's file may raise anything; the sentence names what it did
        del sys.modules[name]
        raise BadInput(f"{path}{_stopped(error, path, module)}; mend the file and run again.") from None
    return module


def _stopped(error: Exception, path: Path, module: ModuleType) -> str:
    """Where in a user's file it stopped, with what, and the names that may have been meant."""
    here = str(path.absolute())  # as the import system names a file, however it was given
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == here]
    said = f"{type(error).__name__}: {error}".rstrip(".")
    name: str | None = None
    known: list[str] = []
    if match := re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", said):
        called = getattr(module, match[1], None)
        name, known = match[2], [f.name for f in dataclasses.fields(called)] if dataclasses.is_dataclass(called) else []
    elif isinstance(error, NameError):
        name, known = error.name, [given for given in vars(module) if not given.startswith("_")]
    elif isinstance(error, AttributeError) and error.name is not None:
        name, known = error.name, [given for given in dir(error.obj) if not given.startswith("_")]
    if "non-frozen dataclass" in said:
        said += ": a method is a @dataclass(frozen=True)"
    meant = f" ({nearest(name, known).rstrip('.')})" if name and known else ""
    return f"{f', line {lines[-1]},' if lines else ''} stopped with {said}{meant}"


def _question_of(module: ModuleType, where: str, kind: type[Question], preset: str | None) -> Question:
    found, called = getattr(module, "EXPERIMENT", None), "EXPERIMENT"
    if found is None:
        raise BadInput(f"{where} defines no EXPERIMENT; add `EXPERIMENT = Experiment(...)` to it.")
    if preset is not None:
        presets = getattr(module, "PRESETS", {})
        if preset not in presets:
            there = f"expected one of {', '.join(presets)}." if presets else "it comes in one size; leave --preset out."
            raise BadInput(f"{where} has no preset {preset!r}; {there}")
        found, called = presets[preset], f"PRESETS[{preset!r}]"
    if not isinstance(found, kind):
        given = kind_name(found)
        article = "an" if given[0] in "AEIOUaeiou" else "a"
        raise BadInput(
            f"{called} in {where} is {article} {given}{ASKS.get(given, '')}; expected a harness.{kind.__name__}."
        )
    asked: Any = found
    if not asked.title and module.__doc__:
        asked = dataclasses.replace(asked, title=module.__doc__.strip().splitlines()[0])
    return cast(Question, asked)
