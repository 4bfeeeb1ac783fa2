"""Every backbone: what it starts as, what it depends on, and who sees whom; the selective scan against a slow loop."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.method import Skipped
from models.spadit.backbones import Backbone
from models.spadit.backbones._fused_scan import fused_scan
from models.spadit.backbones._scan import scan, selective_scan
from models.spadit.backbones.blind_mlp import BlindMLP
from models.spadit.backbones.mamba import Block, Mamba
from models.spadit.backbones.transformer import Transformer
from models.spadit.backbones.unet import UNet
from models.spadit.conditions.flash_attention import FlashAttention
from models.spadit.denoiser import Denoiser, Shown
from models.spadit.latent import Latent
from models.spadit.layers import generator
from models.spadit.tokens import Alone, Context, InBatch, Tokens
from tests.models.spadit.spadit_problems import BACKBONES, loud, normal, streams

S, K, H, B, N, C = 6, 7, 16, 5, 11, 9
SEEING = [config for config in BACKBONES.values() if config.conditioned]
TOKENS = [Alone(), Context(), InBatch()]

name = lambda it: type(it).__name__  # noqa: E731 - an id for pytest
every_backbone = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=name)
every_seeing_backbone = pytest.mark.parametrize("backbone", SEEING, ids=name)


def denoiser(backbone: Backbone, tokens: Tokens | None = None) -> Denoiser:
    tokens = tokens or Alone()
    model = Denoiser(Latent(), FlashAttention(), backbone, tokens, S, K, streams())
    loud(model)
    return model


def predict(model: Denoiser, context_seed: int = 8, **changed: torch.Tensor) -> torch.Tensor:
    given = {"x": normal(B, S), "t": torch.tensor(500), "sc": normal(B, K, seed=1), "scope": normal(N, K, seed=2)}
    given |= changed
    shown = Shown(normal(C, S, seed=context_seed), normal(C, K, seed=4)) if model.flag is not None else None
    return model(given["x"], given["t"], model.given(given["sc"], given["scope"], shown))


@given(length=st.integers(1, 40), seed=st.integers(0, 99), strongest=st.sampled_from([0.1, 1.0, 1.05]))
@settings(deadline=None)
def test_the_parallel_scan_is_the_recurrence(length: int, seed: int, strongest: float) -> None:
    stream = generator(seed)
    a = strongest * torch.rand((length, 2, 3), generator=stream, dtype=torch.float64)
    b = torch.randn((length, 2, 3), generator=stream, dtype=torch.float64)
    state, slow = torch.zeros(2, 3, dtype=torch.float64), []
    for step in range(length):
        state = a[step] * state + b[step]
        slow.append(state)

    torch.testing.assert_close(selective_scan(a, b), torch.stack(slow), rtol=1e-12, atol=1e-12)


def test_the_parallel_scan_has_the_gradients_of_the_recurrence() -> None:
    a, b = (torch.rand((13, 2), generator=generator(seed), dtype=torch.float64).requires_grad_() for seed in (0, 1))

    def slow(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        states = [b[0]]
        for step in range(1, len(a)):
            states.append(a[step] * states[-1] + b[step])
        return torch.stack(states)

    for ours, theirs in zip(
        torch.autograd.grad(selective_scan(a, b).sin().sum(), (a, b)),
        torch.autograd.grad(slow(a, b).sin().sum(), (a, b)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_mamba_block_is_its_published_equations_step_by_step() -> None:
    block = Block(Mamba(hidden=H, states=3, reach=2), streams())
    loud(block)
    x, c = normal(C, H), normal(C, H, seed=1)
    gate, u, z = block.enter(x, c)
    state, rows = torch.zeros(2 * H, 3), []
    for step in range(C):
        before = u[step - 1] if step else torch.zeros(2 * H)
        v = torch.nn.functional.silu(block.kernel[0] * before + block.kernel[1] * u[step] + block.offset)
        low, write, read = block.select(v).split([1, 3, 3])
        delta = torch.nn.functional.softplus(block.widen(low))
        factor = torch.exp(-delta[:, None] * block.log_a.exp())
        state = factor * state + delta[:, None] * write[None] * v[:, None]
        y = state @ read + block.skip * v
        rows.append(x[step] + gate[step] * block.out(y * torch.nn.functional.silu(z[step])))

    torch.testing.assert_close(block.along(x, c)[0], torch.stack(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reach", [1, 2, 4, 12])
def test_a_target_takes_the_step_that_it_would_take_at_the_end_of_the_context(reach: int) -> None:
    trunk = Mamba(hidden=H, reach=reach).build(Context(), streams())
    loud(trunk)
    context, of_context, x, c = normal(C, H), normal(C, H, seed=1), normal(B, H, seed=2), normal(B, H, seed=3)

    found = trunk(x, c, trunk.remember(context, of_context))

    for i in range(B):
        row, conditions = torch.cat([context, x[i : i + 1]]), torch.cat([of_context, c[i : i + 1]])
        for block in trunk.blocks:
            row, _ = block.along(row, conditions)
        torch.testing.assert_close(found[i], row[-1], rtol=1e-4, atol=1e-4)


def documented_scan(u, delta, a, b, c):  # type: ignore[no-untyped-def]
    """What mamba-ssm documents of its kernel: u, delta (n, E, L), a (E, N), b, c (n, N, L) -> (n, E, L)."""
    h, out = u.new_zeros(*u.shape[:2], a.shape[1]), []
    for i in range(u.shape[-1]):
        step = delta[..., i, None]  # (n, E, 1)
        h = torch.exp(step * a) * h + step * b[:, None, :, i] * u[..., i, None]  # (n, E, N)
        out.append((h * c[:, None, :, i]).sum(-1))
    return torch.stack(out, -1)


@pytest.mark.parametrize("draws", [(), (3,)], ids=["one sequence", "several"])
def test_the_fused_scan_is_asked_for_the_same_function_and_gradients(
    draws: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    interface = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    interface.selective_scan_fn = documented_scan  # type: ignore[attr-defined]
    for part in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    monkeypatch.setattr("models.spadit.backbones._fused_scan.refuse_elsewhere", lambda device: None)
    inputs = [normal(N, *draws, H, seed=1).abs(), normal(H, 3, seed=2), normal(N, *draws, H, seed=3)]
    inputs += [normal(N, *draws, 3, seed=4), normal(N, *draws, 3, seed=5)]
    inputs = [each.requires_grad_() for each in inputs]

    def with_gradients(run: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
        y, state = run(*inputs)
        return [y, state, *torch.autograd.grad(y.sin().sum() + state.cos().sum(), inputs)]

    for ours, theirs in zip(with_gradients(scan), with_gradients(fused_scan), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("mamba_ssm") is None, reason="needs a GPU and the package mamba-ssm"
)
def test_the_fused_kernel_has_the_numbers_of_the_scan_in_torch() -> None:
    inputs = [normal(N, H, seed=1).abs(), normal(H, 16, seed=2), normal(N, H, seed=3)]
    inputs = [each.cuda() for each in (*inputs, normal(N, 16, seed=4), normal(N, 16, seed=5))]

    for ours, theirs in zip(scan(*inputs), fused_scan(*inputs), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_the_fused_scan_refuses_where_there_is_no_gpu() -> None:
    trunk = Mamba(hidden=H, scan="fused").build(Context(), streams())

    with pytest.raises(Skipped, match=r"runs on a GPU.*scan='torch'.*spadit-harness\[mamba\]"):
        trunk.remember(normal(C, H), normal(C, H))


@pytest.mark.parametrize("tokens", TOKENS, ids=name)
@pytest.mark.parametrize("backbone", [BACKBONES["Transformer"], BACKBONES["Mamba"]], ids=name)
def test_a_fresh_stack_of_blocks_is_the_identity(backbone: Backbone, tokens: Tokens) -> None:
    trunk, x, c = backbone.build(tokens, streams()), normal(B, H), normal(B, H, seed=1)
    memory = trunk.remember(normal(C, H, seed=2), normal(C, H, seed=3)) if tokens == Context() else None

    assert torch.equal(trunk(x, c, memory), x)


@every_backbone
def test_a_fresh_denoiser_predicts_zero(backbone: Backbone) -> None:
    model = Denoiser(Latent(), FlashAttention(), backbone, Alone(), S, K, streams()).eval()

    assert torch.equal(predict(model), torch.zeros(B, S))


CHANGES = {
    "x": normal(B, S, seed=9),
    "t": torch.tensor(20),
    "sc": normal(B, K, seed=9),
    "scope": normal(N, K, seed=9),
}


@pytest.mark.parametrize("changed", CHANGES)
@pytest.mark.parametrize("tokens", TOKENS, ids=name)
@every_seeing_backbone
def test_its_prediction_depends_on_x_t_the_sc_profile_and_the_condition(
    backbone: Backbone, tokens: Tokens, changed: str
) -> None:
    model = denoiser(backbone, tokens)

    difference = (predict(model) - predict(model, **{changed: CHANGES[changed]})).abs().amax(-1)  # (B,)

    assert difference.min() > 1e-3


@pytest.mark.parametrize(("changed", "seen"), [("x", True), ("sc", True), ("t", False), ("scope", False)])
def test_the_blind_mlp_sees_x_and_the_sc_part_and_neither_t_nor_condition(changed: str, seen: bool) -> None:
    model = denoiser(BACKBONES["BlindMLP"])
    change = (predict(model) - predict(model, **{changed: CHANGES[changed]})).abs().amax(-1)  # (B,)

    assert (change.min() > 1e-3) if seen else (change.max() == 0)


@every_seeing_backbone
def test_the_context_reaches_every_target(backbone: Backbone) -> None:
    model = denoiser(backbone, Context())

    assert (predict(model, context_seed=20) - predict(model, context_seed=30)).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("tokens", [Alone(), Context()], ids=name)
@every_backbone
def test_targets_do_not_see_each_other(backbone: Backbone, tokens: Tokens) -> None:
    if tokens == Context() and not backbone.conditioned:
        pytest.skip("the blind MLP has no tokens that see anything")
    model = denoiser(backbone, tokens)
    x, sc = normal(B, S), normal(B, K, seed=1)
    x[1:], sc[1:] = normal(B - 1, S, seed=7), normal(B - 1, K, seed=6)

    torch.testing.assert_close(predict(model, x=x, sc=sc)[0], predict(model)[0], rtol=1e-5, atol=1e-5)


@every_seeing_backbone
def test_the_genes_of_a_batch_see_those_before_them_with_in_batch_tokens(backbone: Backbone) -> None:
    model, x = denoiser(backbone, InBatch()), normal(B, S)
    x[0] = normal(S, seed=7)

    assert (predict(model, x=x)[1:] - predict(model)[1:]).abs().amax(-1).min() > 1e-4


@pytest.mark.parametrize("tokens", TOKENS, ids=name)
@every_backbone
def test_several_draws_at_once_are_the_draws_one_by_one(backbone: Backbone, tokens: Tokens) -> None:
    model, x = denoiser(backbone, tokens), normal(3, B, S)

    together = predict(model, x=x)

    torch.testing.assert_close(together, torch.stack([predict(model, x=part) for part in x]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: UNet(hidden=100), "multiple of heads"),
        (lambda: UNet(levels=0), "at least 1"),
        (lambda: Mamba(states=0), "at least 1"),
        (lambda: BlindMLP(widening=0.0), "above 0"),
        (lambda: Transformer(hidden=10, heads=4), "multiple of heads"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_refused_in_one_sentence(refused: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        refused()  # type: ignore[operator]
