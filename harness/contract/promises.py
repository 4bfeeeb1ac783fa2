"""What every method promises, whoever wrote it.

A promise is a function whose name says it: it gives None where a method keeps it, else a sentence with what was found,
what was expected and what to do. `spadit audit contract` tries them on one method, `tests/contracts/` on every method
that is discovered.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from harness.answer import global_streams
from harness.contract.built_in import FEW, built_in_problem, lacking, reordered, smallest
from harness.contract.tried import OTHER, NoAnswer, Promise, Tried, line
from models.component import Component, ComponentError, canonical, code_hash, is_first_party, rebuild, walk
from models.method import Array, Run, refusal

ATOL = 1e-4
"""On the log-normalised scale: by how much sums in another order may differ."""

# ---------------------------------------------------------------------------------------------------------------
# What it is


def its_settings_survive_json(tried: Tried) -> str | None:
    """Canonical JSON and back is the same; one that is called by name is made without arguments, too."""
    needed = [f.name for f in fields(tried.method) if f.init and f.default is f.default_factory is dataclasses.MISSING]
    if tried.by_name and needed:
        return (
            f"{type(tried.method).__name__}() lacks a value for {needed[0]}; expected a default for every field, since "
            "a method that is called by name is made without arguments, so write one."
        )
    for method in tried.settings:
        try:
            again = _remade(method, canonical(method))
        except ComponentError as error:
            return str(error)
        if again != method:
            return (
                f"{method} comes back from JSON as {again}; expected equal settings, so let __post_init__ check fields "
                "and change none."
            )
    return None


def it_travels_to_a_worker_and_back(tried: Tried) -> str | None:
    """Pickled and back is the same."""
    for method in tried.settings:
        try:
            same = pickle.loads(pickle.dumps(method)) == method
        except Exception as error:  # pickling raises whatever its parts raise
            return (
                f"pickling it stops with {type(error).__name__}: {line(error)}; expected a copy equal to it, so keep "
                "nothing in it but its fields, and make networks and open files inside impute."
            )
        if not same:
            return f"the pickled copy of {method} is not equal to it; expected that it is, so leave __eq__ alone."
    return None


def it_says_what_it_is_and_where_it_comes_from(tried: Tried) -> str | None:
    """A docstring, a version, and code that can be read."""
    cls = type(tried.method)
    written = not (cls.__doc__ or "").startswith(f"{cls.__name__}(")  # else it is dataclass's own
    said = (cls.__doc__ or "").split() if written else []
    if len(said) < 8:
        return (
            f"its docstring is {' '.join(said)!r}; expected a sentence of at least 8 words, so write what the method "
            "does, for readers of `spadit methods`."
        )
    if type(cls.version) is not int or cls.version < 1:
        return f"its version is {cls.version!r}; expected a whole number from 1, so write `version: ClassVar[int] = 1`."
    try:
        code_hash(tried.method)
    except ComponentError as error:
        return str(error)
    return None


# ---------------------------------------------------------------------------------------------------------------
# What it answers


def it_answers_every_spot_and_target_with_a_finite_float(tried: Tried) -> str | None:
    """(n_spots, n_targets), whatever else may be wrong with it."""
    tried.once()
    return None


def its_answer_is_on_the_log_normalised_scale(tried: Tried) -> str | None:
    """Never negative, and not far above all that it was shown."""
    problem, answer = built_in_problem(), tried.first()
    most = 3 * float(max(problem.spots.lognorm.max(), problem.cells.lognorm.max()))
    if answer.min() >= 0 and answer.max() <= most:
        return None
    return (
        f"its values run from {answer.min():.4g} to {answer.max():.4g}; expected 0 to {most:.4g}, three times the "
        "highest value that it is shown, so turn centred, scaled or count-like values back, and clip at 0."
    )


def the_same_seed_gives_the_same_bits(tried: Tried) -> str | None:
    """Two answers with one seed agree."""
    if tried.by_repeating() == 0:
        return None
    return (
        f"two answers with the same seed are up to {tried.by_repeating():.3g} apart; expected the same bits, so draw "
        "from run.rng alone, and seed a library's generator from it: int(run.rng.integers(2**31))."
    )


def the_seed_matters_exactly_if_it_declares_randomness(tried: Tried) -> str | None:
    """Another seed gives another answer where that is declared, and nowhere else."""
    differs = bool((tried.first() != tried.first(OTHER)).any())
    if differs == tried.method.needs.randomness:
        return None
    if differs:
        return (
            "another seed gives another answer, and its needs declare no randomness, so it would run for one seed and "
            "pass for all; add `needs: ClassVar[Needs] = Needs(randomness=True)` to the class."
        )
    return (
        "another seed gives the same answer, and its needs declare randomness, so every seed would run for nothing; "
        "draw from run.rng, or leave randomness out of its needs."
    )


def the_global_random_state_is_neither_used_nor_changed(tried: Tried) -> str | None:
    """No draw from the generators that a whole process shares, and no seeding of them."""
    tried.first()
    if not tried.once().drew:
        return None
    return (
        "it draws from a global generator of Python, numpy or torch, or seeds one; expected that its draws are its "
        "own, so use run.rng (for torch, torch.Generator().manual_seed(int(run.rng.integers(2**31))))."
    )


def an_sd_is_finite_beside_the_very_same_prediction_and_says_what_varies(tried: Tried) -> str | None:
    """`impute_with_sd` agrees with `impute`, its sd is one, and `spread` says of what."""
    tried.require_repeatable()
    run, expected, spread = Run.local(0), tried.first(), tried.method.spread
    with global_streams(run.rng.bit_generator.state):
        mean, sd = tried.method.impute_with_sd(built_in_problem(), run)
    if mean.dtype != expected.dtype or not np.array_equal(mean, expected):
        return (
            "the prediction of impute_with_sd is not that of impute; expected the same bits, so let one of the two "
            "call the other."
        )
    if sd is None:
        said = f"it gives no sd, and its spread says {spread!r}; expected none, so leave spread out."
        return said if spread else None
    if np.shape(sd) != mean.shape or not np.isfinite(sd).all() or np.min(sd) < 0 or np.max(sd) == 0:
        return (
            f"its sd has shape {np.shape(sd)} and runs from {np.min(sd):.4g} to {np.max(sd):.4g}; expected "
            f"{mean.shape}, finite, never negative and not all 0, so return None where nothing varies."
        )
    said = f"its spread is {spread!r}; expected a sentence on what its sd is a spread of, so write one."
    return None if spread.endswith(".") else said


# ---------------------------------------------------------------------------------------------------------------
# What it answers to another problem; these come last, so that nothing starts from what they left behind


def it_names_what_it_needs_and_needs_nothing_else(tried: Tried) -> str | None:
    """Refused by name without what it declares; without anything else it answers, or skips with a reason."""
    needs, problem = tried.method.needs, built_in_problem()
    if (reason := refusal(tried.method, problem)) is not None:
        return f"it is refused where nothing lacks: {reason}"
    tried.first()
    things = {thing: getattr(needs, thing) for thing in ("counts", "coordinates", "cell_types")}
    for thing in (thing for thing, declared in things.items() if declared):
        reason = refusal(tried.method, lacking(problem, [thing]))
        if reason is None or thing.replace("_", " ") not in reason:
            return f"without {thing}, which it declares to need, the reason is {reason!r}; expected {thing} by name."
    undeclared = [thing for thing, declared in things.items() if not declared]
    if not _stops_without(tried, undeclared):
        return None
    culprits = [thing for thing in undeclared if _stops_without(tried, [thing])] or undeclared
    return (
        f"{_stops_without(tried, culprits)} Or add `needs: ClassVar[Needs] = Needs({culprits[0]}=True)` to the class: "
        "then such data are skipped with the reason."
    )


def another_order_of_genes_permutes_its_answer_and_nothing_else(tried: Tried) -> str | None:
    """Columns follow `targets`, and no gene is known by its place."""
    tried.require_repeatable()
    problem, straight = built_in_problem(), tried.first()
    turned = reordered(problem)
    order = [turned.targets.index(gene) for gene in problem.targets]
    moved = np.abs(tried.answer(turned, when="with its genes in another order, ").values[:, order] - straight)
    # Draws follow the order of genes that are given (the harness always sorts them by name), so a random method may
    # move as much as another seed moves it, and no more.
    if not (_beyond_seeds(tried, moved) if tried.method.needs.randomness else moved.max() > ATOL):
        return None
    return (
        f"with the same genes in another order, its values of a gene move by up to {moved.max():.3g}; expected the "
        "same values in other columns, so find genes by name: problem.cells.of(problem.targets), problem.spots.of(...)."
    )


def a_gene_depends_on_what_else_is_asked_for_only_if_declared(tried: Tried) -> str | None:
    """One target alone has the values that it has among others, unless targets are modelled together."""
    tried.require_repeatable()
    problem, together = built_in_problem(), tried.first()
    alone = replace(problem, targets=problem.targets[2:3])
    moved = np.abs(tried.answer(alone, when="asked for one target, ").values[:, 0] - together[:, 2])
    if not tried.method.joint and moved.max() > ATOL:
        return (
            f"a gene that is asked for alone has other values than among others, by up to {moved.max():.3g}; expected "
            "the same, so predict each gene for itself, or declare `joint: ClassVar[bool] = True` in the class."
        )
    # A model of all targets at once changes with them, but no more than a seed changes it.
    if tried.method.joint and tried.method.needs.randomness and _beyond_seeds(tried, moved):
        return (
            f"a gene that is asked for alone moves by {moved.mean():.3g} in the mean; expected at most twice the "
            f"{tried.by_seed():.3g} of another seed, even of targets that are modelled together, so look for what "
            "depends on their number."
        )
    return None


def it_keeps_nothing_from_one_problem_to_the_next(tried: Tried) -> str | None:
    """An answer to another problem in between changes nothing."""
    tried.require_repeatable()
    problem, expected = built_in_problem(), tried.first()
    tried.answer(replace(problem, targets=problem.targets[:3]), when="asked for three targets, ")
    apart = float(np.abs(tried.answer(problem).values - expected).max())
    if apart == 0:
        return None
    return (
        f"after another problem, its answer to the first one is up to {apart:.3g} off; expected the same bits, since "
        "one worker answers many folds, so keep nothing in globals, on the class or on the instance."
    )


def one_target_and_few_genes_are_enough(tried: Tried) -> str | None:
    """The smallest problem that may come."""
    tried.first()
    tried.answer(smallest(built_in_problem()), when=f"asked for one target, with {FEW} visible genes, ")
    return None


PROMISES: tuple[Promise, ...] = (
    its_settings_survive_json,
    it_travels_to_a_worker_and_back,
    it_says_what_it_is_and_where_it_comes_from,
    it_answers_every_spot_and_target_with_a_finite_float,
    its_answer_is_on_the_log_normalised_scale,
    the_same_seed_gives_the_same_bits,
    the_seed_matters_exactly_if_it_declares_randomness,
    the_global_random_state_is_neither_used_nor_changed,
    an_sd_is_finite_beside_the_very_same_prediction_and_says_what_varies,
    it_names_what_it_needs_and_needs_nothing_else,
    another_order_of_genes_permutes_its_answer_and_nothing_else,
    a_gene_depends_on_what_else_is_asked_for_only_if_declared,
    it_keeps_nothing_from_one_problem_to_the_next,
    one_target_and_few_genes_are_enough,
)
"""The contract, in the order in which it is tried."""


def _remade(value: Any, described: Any) -> Any:
    """A value made from its canonical JSON, which names no class of a user's own file: that is taken from the value."""
    if isinstance(value, tuple):
        return tuple(_remade(item, each) for item, each in zip(value, described, strict=True))
    if not isinstance(value, Component):
        return described
    if all(is_first_party(type(part)) for part in walk(value)):
        return rebuild(described)
    return type(value)(**{f.name: _remade(getattr(value, f.name), described[f.name]) for f in fields(value)})


def _stops_without(tried: Tried, things: Sequence[str]) -> str:
    """What it does without these; empty where it answers, or skips with a reason of its own."""
    try:
        tried.answer(lacking(built_in_problem(), things), when=f"without {' and '.join(things)}, ")
    except NoAnswer as instead:
        return "" if instead.skipped else str(instead)
    return ""


def _beyond_seeds(tried: Tried, moved: Array) -> bool:
    return bool(moved.mean() > max(2 * tried.by_seed(), ATOL))
