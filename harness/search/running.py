"""`search`: what `spadit tune` does - suggest, run, choose, and score the winners once on genes that chose nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.cluster.batching import Batch
from harness.cluster.connection import Connection, connected
from harness.cluster.faults import Fault
from harness.cluster.nodes import largest
from harness.cluster.progress import Progress
from harness.cluster.resources import AUTO, Keep, Resources
from harness.cluster.shares import shares
from harness.cluster.tune_run import Feed, Handed
from harness.cluster.tuning import Submission, Work, submission
from harness.datasets import load, present
from harness.errors import BadInput
from harness.pair import PairedSample
from harness.protocol import Prepared, prepare
from harness.results import Folders, Results, data_folders, git_state, make_plan, run_plan
from harness.search.judging import Judge
from harness.search.knowledge import Knowledge
from harness.search.objectives import AS
from harness.search.question import Search, Topic
from harness.search.storages import storages
from harness.search.study import Running, Study
from harness.search.winners import Winner, scoring, winner
from harness.store import Store
from harness.store.checkpoints import EVERY
from harness.store.damage import set_aside, verified
from harness.trial import Trial
from models.method import Method, Size

if TYPE_CHECKING:
    from harness.search.conductor import Conductor

FEWEST_CONTROLS = 2
"""An accuracy score needs others to be ranked among."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to. winners: the best of each study, with what it scored where it was chosen (which flatters
    it). results: theirs on test genes, beside the bases of the spaces and whatever else was asked for.
    """

    winners: tuple[Winner, ...]
    results: Results


def search(
    asked: Search,
    trials: int,
    store: str | Path = "results",
    data: Folders = None,
    *,
    storage: str | None = None,
    address: str | None = None,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float | Literal["auto"] = 0.0,
    max_concurrent: int | None = None,
    timeout: float | None = None,
    checkpoint_every: float = EVERY,
    keep_predictions: Keep = "first-seed",
    retry_failed: bool = False,
    strict: bool = False,
    progress: bool = True,
    command: str = "",
) -> Found:
    """Search until every study has `trials` configurations, then score the winners on test genes and return both.

    A second call does what is missing of more trials, and repeats none. storage: URL of a database for Optuna's
    studies, which several drivers need where the store is an object store. strict: an absent dataset is an error rather
    than an exclusion. The rest is as for `submit`.
    Raises `BadInput` for bad input, KeyboardInterrupt when it is asked to stop (nothing that finished is lost).
    """
    if trials < 1:
        raise BadInput(f"A search of {trials} trials finds nothing; give at least 1.")
    resources = Resources(address, cpus_per_trial, gpus_per_trial, max_concurrent, timeout, checkpoint_every)
    where = Store(store)
    folders = data_folders(data)
    pairs = looked_at(asked, folders, strict)
    with connected(resources) as there:
        winners = _searched(asked, trials, where, pairs, resources, there, storage, progress)
        if not winners:
            raise BadInput(
                f"No configuration of {asked.name} finished, so there is nothing to score; `spadit status --store "
                f"{where.where}` says why."
            )
        plan = make_plan(scoring(asked, winners), where, data, strict)
        results = run_plan(plan, resources, keep_predictions, retry_failed, show=progress, command=command)
    return Found(tuple(winners), results)


def looked_at(asked: Search, folders: Sequence[Any], strict: bool) -> dict[str, PairedSample]:
    """The datasets that the search looks at. Of a nested search, those that are there; elsewhere, all have to be."""
    entries = {name: present(name, folders) for name in asked.needed}
    absent = [entry for entry in entries.values() if not entry.present]
    if absent and (strict or not asked.nested or len(absent) == len(entries)):
        raise BadInput(f"{asked.name} cannot be searched: {absent[0].name} is not there: {absent[0].reason}")
    pairs = {name: load(name, folders) for name, entry in entries.items() if entry.present}
    if not asked.nested:
        _require_other_content(asked, pairs, folders)
    return pairs


def _require_other_content(asked: Search, pairs: Mapping[str, PairedSample], folders: Sequence[Any]) -> None:
    """Refuse to score on what decides, under whatever name."""
    names = {pair.id: name for name, pair in pairs.items()}
    for scored in (name for name in asked.datasets if present(name, folders).present):
        if (same := names.get(load(scored, folders).id)) is not None:
            raise BadInput(
                f"{asked.name}: {scored} has the content of {same}, which would decide, and be scored as well; search "
                "on other data, or use Nested()."
            )


def _searched(
    asked: Search,
    trials: int,
    store: Store,
    pairs: dict[str, PairedSample],
    resources: Resources,
    there: Connection,
    url: str | None,
    show: bool,
) -> list[Winner]:
    ids = {name: pair.id for name, pair in pairs.items()}
    data = {pair.id: prepare(pair, asked.protocol) for pair in pairs.values()}
    pairs.clear()  # Ray will hold what is needed of them
    sizes = {dataset_id: prepared.size(asked.split) for dataset_id, prepared in data.items()}
    share = shares(resources, sizes, there.cards, largest(there.nodes))
    topics = list(asked.topics(list(ids)))
    first = {topic: asked.parts(topic, asked.base(topic.label), ids) for topic in topics}
    slots = resources.slots(there.resources, min(share(parts[0], False).gpus for parts in first.values()))
    too_large = _too_large(asked, first, data, resources, there)
    controls = _controls(asked, topics, ids)
    needed = [trial for each in controls.values() for parts in each for trial in parts]
    with ExitStack() as stack:
        stack.enter_context(quiet())
        names: dict[str, str] = {}
        progress = stack.enter_context(Progress(names, names, show))
        todo = Work(needed, data, store, resources, share, git=git_state())
        run = stack.enter_context(submission(todo, slots, progress))
        storage_of = stack.enter_context(
            storages(store, url, [asked.study_id(topic, ids) for topic in topics], run.claims)
        )
        progress.started(slots, there.working, there.dashboard)
        for trial in needed:
            progress.add(trial.id, f"{type(trial.method).__name__} · {trial.dataset} · fold {trial.fold}")
        run.to_the_end()
        _set_damaged_aside(store, [asked.study_id(topic, ids) for topic in topics], progress)
        studies = []
        for topic in topics:
            study = asked.study_id(topic, ids)
            space, start = asked.spaces[topic.label], store.start(study)
            seed = asked.seed_of(topic)
            knowledge = Knowledge(study, asked, space, seed, start, storage_of(study), too_large(topic))
            judge = Judge(asked, store, _finished(controls.get(topic, []), store, asked))
            studies.append(Study(topic, asked, store, ids, trials, knowledge, judge))
        progress.expected = len(needed) + sum(_left(study, len(first[study.topic])) for study in studies)
        Searching(run, studies, slots).to_the_end()
    return [found for study in studies if (found := winner(study)) is not None]


def _set_damaged_aside(store: Store, studies: Sequence[str], progress: Progress) -> None:
    """Trials of these studies that are no longer as they were written are computed anew, where anything needs them."""
    ids = {trial for study in studies for each in store.configurations(study).values() for trial in each.trials}
    _, damaged = verified(store, ids)
    set_aside(store, damaged)
    for said in damaged.values():
        progress.say(f"set aside: {said}")


class Searching:
    """The studies of a search on one submission."""

    def __init__(self, run: Submission, studies: Sequence[Study], slots: int) -> None:
        from harness.search.conductor import Conductor

        self.run, self.studies = run, studies
        self.conductor: Conductor = Conductor(studies, slots, self.hand)

    def to_the_end(self) -> None:
        """Hand out configurations until every study has its number of them, each with an outcome."""
        from harness.search.conductor import Halved, handed

        halving = self.studies[0].search.halving
        settings: dict[str, Any] = {"search_alg": self.conductor, "num_samples": -1}
        if halving is not None:
            settings["scheduler"] = Halved(halving, self.conductor)
        self.run.feed(Feed(handed, {}, self.heard, self.broke, settings))

    def hand(self, running: Running) -> Handed:
        """What the worker of a configuration is given: those of its parts that are missing."""
        run, name = self.run, f"{running.study.topic.said} · #{running.configuration.number}"
        missing = [trial for trial in running.parts if not run.todo.store.has(trial.id)]
        run.ledger.add(missing)
        for trial in missing:
            # Scores of different studies are of different genes: nobody leads.
            alone = name if len(self.studies) == 1 else ""
            run.progress.add(trial.id, f"{name} · {trial.dataset}, fold {trial.fold}", alone)
        enlarged = any(run.ledger.enlarged(trial.id) for trial in missing)
        job = run.job(missing)
        if running.study.search.halving is not None:  # whether it goes on is decided after each part
            job = replace(job, told=0.0)
        parts = tuple(missing or running.parts)  # where another driver has just done them all, the worker finds them
        return Handed(Batch(parts, run.todo.share(parts[0], enlarged)), job)

    def heard(self, message: Mapping[str, Any]) -> None:
        """Take a message of a worker."""
        self.run.heard(message)
        if "status" in message:
            self.run.ledger.settle([message["trial"]])

    def broke(self, config: Mapping[str, Any], fault: Fault) -> None:
        """A worker was lost with a configuration: its first part without a record is charged with that."""
        running = self.conductor.handed_out[config["trial"]]
        lost = [trial for trial in running.parts if trial.id in self.run.ledger.pending][:1]
        if fault.cause is not None and lost:
            self.run.ledger.lose([lost[0].id], fault.cause, fault.reason)
            self.run.progress.again(lost[0].id, fault.reason)
            self.run.give_up()


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says nothing on the terminal but what is wrong: what is suggested is shown by the run itself."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _left(study: Study, parts: int) -> int:
    return parts * (study.budget - len(study.outcomes))


# ---------------------------------------------------------------------------------------------------------------
# Memory and controls


def _too_large(
    asked: Search,
    first: Mapping[Topic, Sequence[Trial]],
    data: Mapping[str, Prepared],
    resources: Resources,
    there: Connection,
) -> Callable[[Topic], Callable[[Method], float | None]]:
    """Of a method of a topic, by how much its estimate exceeds what a trial may take; None where it has none."""
    limit = _limit(resources, there) if asked.memory is None else asked.memory * 2**30
    sizes: dict[Topic, list[Size]] = {
        topic: list({(t.dataset_id, t.split): data[t.dataset_id].size(t.split) for t in parts}.values())
        for topic, parts in first.items()
    }

    def of_topic(topic: Topic) -> Callable[[Method], float | None]:
        def excess(method: Method) -> float | None:
            estimates = [method.memory(size) for size in sizes[topic]]
            known = [estimate for estimate in estimates if estimate is not None]
            return max(known) / limit - 1.0 if known and limit is not None else None

        return excess

    return of_topic


def _limit(resources: Resources, there: Connection) -> float | None:
    """Bytes that each of as many trials as run at once may take: of the smallest card, or of the smallest node."""
    gpus = resources.gpus_per_trial
    if gpus == AUTO or gpus:
        share = 1.0 if gpus == AUTO else min(1.0, float(gpus))
        return share * min(there.cards) if there.cards else None
    each = [
        node["memory"] * min(1.0, resources.cpus_per_trial / node["CPU"])
        for node in there.resources
        if node.get("CPU") and node.get("memory")
    ]
    return min(each, default=None)


def _controls(asked: Search, topics: Sequence[Topic], ids: Mapping[str, str]) -> dict[Topic, list[list[Trial]]]:
    """Trials of every control on the parts of each topic, where an objective ranks among them."""
    from harness.methods import methods_by_name

    if AS not in asked.metric:
        return {}
    controls = [cls() for cls in methods_by_name().values() if cls.control]
    return {topic: [asked.parts(topic, control, ids) for control in controls] for topic in topics}


def _finished(controls: Sequence[Sequence[Trial]], store: Store, asked: Search) -> list[Sequence[Trial]]:
    whole = [parts for parts in controls if all(store.has(trial.id) for trial in parts)]
    if AS in asked.metric and len(whole) < FEWEST_CONTROLS:
        raise BadInput(
            f"{asked.name}: an accuracy score ranks among the controls, and only {len(whole)} of them finished; name "
            "another metric."
        )
    return whole
