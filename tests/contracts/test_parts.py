"""What every backbone and condition encoder of SpaDiT must do: parametrised over discovery, so a new file is tested.

Shapes: see `models.spadit.layers`.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from models.component import discover
from models.spadit.backbones import Backbone, Trunk
from models.spadit.conditions import Condition, Psi
from models.spadit.tokens import Alone, Context, InBatch, Tokens
from tests.models.spadit.spadit_problems import BACKBONES, loud, normal, streams

B, C, R, N, K = 5, 9, 3, 11, 7
CONDITIONS = [cls() for cls in discover("models.spadit.conditions", Condition).values()]
WIDTHS = (16, 24, 32, 48, 64, 96, 128)

WITHOUT_GRADIENT = {
    ("Mamba", "Alone"): ("log_a", "a token that is alone starts from an empty state, and A is how a state fades"),
}
"""(backbone, tokens) -> end of the names of parameters that cannot matter there, and why."""

name = lambda it: type(it).__name__  # noqa: E731 - an id for pytest
every_backbone = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=name)
every_token = pytest.mark.parametrize("tokens", [Alone(), Context(), InBatch()], ids=name)
every_condition = pytest.mark.parametrize("condition", CONDITIONS, ids=name)


def silent(module: torch.nn.Module, output: torch.Tensor) -> set[str]:
    """Names of the parameters that no gradient of the output reaches."""
    module.zero_grad()
    (output * normal(*output.shape, seed=9)).sum().backward()
    return {name for name, weight in module.named_parameters() if weight.grad is None or not weight.grad.any()}


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


# ---------------------------------------------------------------------------------------------------------------
# Backbones


def trunk(backbone: Backbone, tokens: Tokens) -> Trunk:
    built = loud(backbone.build(tokens, streams()))
    assert isinstance(built, Trunk)
    return built


def said(built: Trunk, tokens: Tokens, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """What a backbone makes of tokens x (..., B, H) with conditions c (B, H), given a context where tokens see one."""
    width = x.shape[-1]
    shown = tokens.context_size() > 0
    memory = built.remember(normal(C, width, seed=2), normal(C, width, seed=3)) if shown else None
    return built(x, c, memory)


@every_token
@every_backbone
def test_a_backbone_answers_in_the_shape_of_its_tokens_at_any_width(backbone: Backbone, tokens: Tokens) -> None:
    for width in (backbone.hidden, 2 * backbone.hidden):
        built = trunk(replace(backbone, hidden=width), tokens)
        for shape in ((B, width), (R, B, width)):
            answer = said(built, tokens, normal(*shape), normal(B, width, seed=1))

            assert answer.shape == shape
            assert torch.isfinite(answer).all()


@every_token
@every_backbone
def test_a_backbone_starts_from_its_stream_alone(backbone: Backbone, tokens: Tokens) -> None:
    before = torch.get_rng_state()

    one, again = (backbone.build(tokens, streams()) for _ in range(2))

    assert same(one, again)
    assert torch.equal(torch.get_rng_state(), before)


@every_token
@every_backbone
def test_a_gradient_reaches_every_parameter_of_a_backbone(backbone: Backbone, tokens: Tokens) -> None:
    built, width = trunk(backbone, tokens), backbone.hidden

    unreached = silent(built, said(built, tokens, normal(B, width), normal(B, width, seed=1)))

    stated, _ = WITHOUT_GRADIENT.get((name(backbone), name(tokens)), ("", ""))
    assert unreached == {each for each, _ in built.named_parameters() if stated and each.endswith(stated)}


@every_token
@every_backbone
def test_a_backbone_hears_its_condition_exactly_if_it_says_so(backbone: Backbone, tokens: Tokens) -> None:
    built, width = trunk(backbone, tokens), backbone.hidden
    x = normal(B, width)

    moved = said(built, tokens, x, normal(B, width, seed=1)) - said(built, tokens, x, normal(B, width, seed=4))

    assert bool((moved.abs().amax(-1) > 1e-4).all()) == backbone.conditioned
    assert backbone.conditioned or not moved.any()


@pytest.mark.parametrize("tokens", [Alone(), Context()], ids=name)
@every_backbone
def test_no_target_sees_another_where_tokens_say_so(backbone: Backbone, tokens: Tokens) -> None:
    built, width = trunk(backbone, tokens), backbone.hidden
    x, c = normal(B, width), normal(B, width, seed=1)
    among_others_x, among_others_c = normal(B, width, seed=7), normal(B, width, seed=8)
    among_others_x[0], among_others_c[0] = x[0], c[0]

    alone = said(built, tokens, x[:1], c[:1])[0]

    for mates in ((x, c), (among_others_x, among_others_c)):
        torch.testing.assert_close(said(built, tokens, *mates)[0], alone, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------
# Condition encoders


def accepted(condition: Condition) -> list[int]:
    """Two widths for which it can be built, by its own word."""
    found = []
    for width in WIDTHS:
        try:
            condition.check(width)
        except ValueError:
            continue
        found.append(width)
    assert len(found) >= 2, f"{condition} accepts none of the widths {WIDTHS}, or one alone."
    return [found[0], found[-1]]


def encoder(condition: Condition, width: int = 0) -> Psi:
    """An encoder that has seen its scope."""
    built = condition.build(K, width or accepted(condition)[0], streams())
    built.fit(normal(N, K, seed=2))
    assert isinstance(loud(built), Psi)
    return built


@every_condition
def test_a_condition_has_the_width_that_is_asked_for_a_row_per_gene_or_one_for_all(condition: Condition) -> None:
    for width in accepted(condition):
        answer = encoder(condition, width)(normal(B, K), normal(N, K, seed=2))

        assert answer.shape in ((B, width), (1, width))
        assert torch.isfinite(answer).all()
    assert condition.further_genes() >= 0


@every_condition
def test_a_condition_starts_from_its_stream_alone_and_fits_without_drawing(condition: Condition) -> None:
    before = torch.get_rng_state()

    one, again = (condition.build(K, accepted(condition)[0], streams()) for _ in range(2))
    assert same(one, again)
    for each in (one, again):
        each.fit(normal(N, K, seed=2))

    assert same(one, again)
    assert torch.equal(torch.get_rng_state(), before)


@every_condition
def test_a_gradient_reaches_every_parameter_of_a_condition(condition: Condition) -> None:
    built = encoder(condition)
    if not list(built.parameters()):
        pytest.skip("it has no parameters")

    assert silent(built, built(normal(B, K), normal(N, K, seed=2))) == set()


@every_condition
def test_what_a_condition_says_of_a_gene_does_not_depend_on_which_others_are_asked_for(condition: Condition) -> None:
    built, scope = encoder(condition), normal(N, K, seed=2)
    genes, others = normal(B, K), normal(B, K, seed=7)
    others[0] = genes[0]

    alone = built(genes[:1], scope)[0]

    for asked in (genes, others):
        torch.testing.assert_close(built(asked, scope)[0], alone, rtol=1e-5, atol=1e-5)


@every_condition
def test_a_condition_leaves_what_it_is_shown_as_it_was(condition: Condition) -> None:
    built, genes, scope = encoder(condition), normal(B, K), normal(N, K, seed=2)
    before = copy.deepcopy((genes, scope))

    built(genes, scope)
    built.fit(scope)

    assert torch.equal(genes, before[0])
    assert torch.equal(scope, before[1])
