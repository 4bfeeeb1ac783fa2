"""What is audited, in a form that a new process can make afresh: by name, by driver file, or by value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.drivers import load_experiment
from harness.errors import BadInput
from harness.experiment import Experiment, alike, method_on
from harness.methods import methods_by_name
from models.component import Json, canonical, is_first_party, nearest, rebuild
from models.method import Method


@dataclass(frozen=True)
class Subject:
    """A method to audit.

    name: how the audit calls it. component: canonical JSON of a method of ours. driver, variant: or the variant of a
    driver file, which every process of the audit loads anew, so that what the file keeps in globals is made anew as
    well. plug_in: or the name of a method that another installed package offers.
    """

    name: str
    component: Json = None
    driver: str = ""
    variant: str = ""
    plug_in: str = ""

    def experiment(self) -> Experiment | None:
        """The driver's experiment; None without one."""
        return load_experiment(self.driver) if self.driver else None

    def method(self, dataset: str) -> Method:
        """The method that runs on a dataset, made afresh."""
        experiment = self.experiment()
        if experiment is not None:
            return method_on(experiment.variants[self.variant], dataset, 0)
        if self.plug_in:
            return methods_by_name()[self.plug_in]()
        made: Any = rebuild(self.component)
        return made

    def to_json(self) -> dict[str, Any]:
        """Inverse of `Subject(**json)`."""
        return asdict(self)


def subjects(named: str, experiment: Experiment, dataset: str, fold: int) -> dict[str, Subject]:
    """Label -> subject of every variant that an experiment runs on a fold of a dataset.

    named: what the experiment was loaded by; variants whose code is in that driver file are made from it anew.
    """
    path = str(Path(named).resolve()) if named.endswith(".py") else ""
    found = {}
    for label, variant in experiment.variants.items():
        method = method_on(variant, dataset, fold)
        if is_first_party(type(method)):
            found[label] = Subject(label, component=canonical(method))
        else:
            found[label] = Subject(label, driver=path, variant=label)
    return found


def subject(named: str, known: dict[str, type[Method]]) -> Subject:
    """The subject that the command line names: `NAME` of a discovered method, or `driver.py:VARIANT`.

    Raises `BadInput` with the nearest names for what there is not.
    """
    path, colon, variant = named.rpartition(":")
    if colon and path.endswith(".py"):
        found = load_experiment(path).variants
        variant = alike(variant, found)
        if variant not in found:
            raise BadInput(f"{path} has no variant {variant!r}; {nearest(variant, list(found))}")
        return Subject(named, driver=str(Path(path).resolve()), variant=variant)
    named = alike(named, known)
    if named not in known:
        raise BadInput(
            f"There is no method {named!r}; {nearest(named, list(known))} A variant of your own file is named "
            "driver.py:VARIANT."
        )
    if not is_first_party(known[named]):
        return Subject(named, plug_in=named)
    return Subject(named, component=canonical(known[named]()))
