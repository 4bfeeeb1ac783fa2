from __future__ import annotations

from dataclasses import replace

import pytest
import sklearn.decomposition
import torch

from models.method import Skipped
from models.spadit.backbones.transformer import Transformer
from models.spadit.conditions._attention import GeneAttention
from models.spadit.conditions._base import Condition
from models.spadit.conditions.attention import Attention
from models.spadit.conditions.flash_attention import FlashAttention
from models.spadit.conditions.mlp import MLP
from models.spadit.conditions.none import NoCondition
from models.spadit.conditions.pca import PCA
from models.spadit.denoiser import Denoiser, Shown
from models.spadit.latent import Latent
from models.spadit.layers import Dropout, Streams, generator
from models.spadit.masking import EntryMask, FullMask
from models.spadit.tokens import Alone, Context, InBatch, Tokens

S, K, H, B, N, C = 6, 7, 16, 5, 11, 4


def streams(rate: float = 0.0) -> Streams:
    return Streams(generator(0), generator(1), rate)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed))


def perturb(module: torch.nn.Module, seed: int = 5) -> None:
    stream = generator(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=stream)


def denoiser(
    tokens: Tokens | None = None,
    condition: Condition | None = None,
    latent: Latent | None = None,
    perturbed: bool = True,
) -> Denoiser:
    backbone = Transformer(hidden=H, depth=2, heads=4)
    built = Denoiser(
        latent or Latent(), condition or FlashAttention(), backbone, tokens or Alone(), S, K, streams()
    ).eval()
    if perturbed:
        perturb(built)
    return built


def shown(seed: int = 8) -> Shown:
    return Shown(normal(C, S, seed=seed), normal(C, K, seed=seed + 1))


def predict(model: Denoiser, **changed: torch.Tensor) -> torch.Tensor:
    given = {"x": normal(B, S), "t": torch.tensor(500), "sc": normal(B, K, seed=1), "scope": normal(N, K, seed=2)}
    given |= changed
    context = shown() if model.flag is not None else None
    return model(given["x"], given["t"], model.given(given["sc"], given["scope"], context))


def test_a_fresh_transformer_is_the_identity() -> None:
    x, c = normal(B, H), normal(B, H, seed=1)
    for tokens in (Alone(), InBatch()):
        trunk = Transformer(hidden=H, heads=4).build(tokens, streams())

        assert torch.equal(trunk(x, c, None), x)


def test_a_fresh_transformer_with_context_is_the_identity() -> None:
    x, c = normal(B, H), normal(B, H, seed=1)
    trunk = Transformer(hidden=H, heads=4).build(Context(), streams())

    assert torch.equal(trunk(x, c, trunk.remember(normal(C, H, seed=2), c[:C])), x)


def test_a_perturbed_transformer_is_not_the_identity() -> None:
    x, c = normal(B, H), normal(B, H, seed=1)
    trunk = Transformer(hidden=H, heads=4).build(Alone(), streams())
    perturb(trunk)

    assert not torch.allclose(trunk(x, c, None), x)


def test_a_fresh_denoiser_predicts_zero() -> None:
    assert torch.equal(predict(denoiser(perturbed=False)), torch.zeros(B, S))


@pytest.mark.parametrize("tokens", [Alone(), Context(), InBatch()], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize(
    "changed",
    [
        {"x": normal(B, S, seed=9)},
        {"t": torch.tensor(20)},
        {"sc": normal(B, K, seed=9)},
        {"scope": normal(N, K, seed=9)},
    ],
    ids=lambda c: next(iter(c)),
)
def test_the_prediction_depends_on_x_t_the_sc_profile_and_the_sc_matrix(
    tokens: Tokens, changed: dict[str, torch.Tensor]
) -> None:
    model = denoiser(tokens)

    difference = (predict(model) - predict(model, **changed)).abs().amax(-1)  # (B,)

    assert difference.min() > 1e-3


def test_the_condition_reaches_the_prediction_where_phi_has_no_sc_part() -> None:
    model = denoiser(latent=Latent(concat=False, direct=False))

    assert (predict(model) - predict(model, sc=normal(B, K, seed=9))).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("direct", [True, False])
def test_the_sc_part_of_phi_reaches_the_prediction_where_there_is_no_condition(direct: bool) -> None:
    model = denoiser(condition=NoCondition(), latent=Latent(direct=direct))

    assert (predict(model) - predict(model, sc=normal(B, K, seed=9))).abs().amax(-1).min() > 1e-3


def test_without_sc_part_and_condition_the_sc_profile_is_not_seen_at_all() -> None:
    model = denoiser(condition=NoCondition(), latent=Latent(concat=False, direct=False))

    assert torch.equal(predict(model), predict(model, sc=normal(B, K, seed=9)))


def test_context_reaches_every_target() -> None:
    model = denoiser(Context())
    x, sc, scope, t = normal(B, S), normal(B, K, seed=1), normal(N, K, seed=2), torch.tensor(500)

    one, other = (model(x, t, model.given(sc, scope, shown(seed))) for seed in (20, 30))

    assert (one - other).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("tokens", [Alone(), Context()], ids=lambda t: type(t).__name__)
def test_targets_do_not_see_each_other(tokens: Tokens) -> None:
    model = denoiser(tokens)
    x, sc = normal(B, S), normal(B, K, seed=1)
    x[1:], sc[1:] = normal(B - 1, S, seed=7), normal(B - 1, K, seed=6)

    torch.testing.assert_close(predict(model, x=x, sc=sc)[0], predict(model)[0], rtol=1e-5, atol=1e-5)


def test_in_batch_tokens_do_see_each_other() -> None:
    model, x = denoiser(InBatch()), normal(B, S)
    x[1:] = normal(B - 1, S, seed=7)

    assert (predict(model, x=x)[0] - predict(model)[0]).abs().max() > 1e-3


def test_context_attention_is_a_softmax_over_the_context_and_the_token_itself() -> None:
    mixer = Context().mixer(H, 4, streams())
    x, context = normal(B, H), normal(C, H, seed=1)
    got = mixer(x, mixer.remember(context)[1])

    for i in range(B):  # the same by plain attention, one target at a time
        q, _, _ = mixer.split(x[i : i + 1])
        _, k, v = mixer.split(torch.cat([context, x[i : i + 1]]))
        weights = (q @ k.transpose(-1, -2) / (H // 4) ** 0.5).softmax(-1)
        torch.testing.assert_close(got[i : i + 1], mixer.merge(weights @ v))


def test_several_draws_at_once_are_the_draws_one_by_one() -> None:
    for tokens in (Alone(), Context(), InBatch()):
        model, x = denoiser(tokens), normal(3, B, S)

        together = predict(model, x=x)

        torch.testing.assert_close(together, torch.stack([predict(model, x=part) for part in x]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("readout", ["gene", "pooled"])
def test_flash_attention_agrees_with_explicit_softmax_in_output_and_gradient(readout: str) -> None:
    outcomes = []
    for attend in (FlashAttention().attend, Attention().attend):
        psi = GeneAttention(K, H, 2, 4, readout, attend, streams())  # type: ignore[arg-type]
        perturb(psi)
        psi = psi.double()  # in single precision, the order of sums over 300 genes shows, and differs by processor
        genes, scope = normal(B, K).double().requires_grad_(), normal(300, K, seed=1).double().requires_grad_()
        out = psi(genes, scope)
        (out * normal(B, H, seed=2)).sum().backward()
        outcomes.append([out, scope.grad, *(weight.grad for weight in psi.parameters())])

    assert len(outcomes[0]) == len(outcomes[1]) > 10
    for mine, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Flash attention kernel not used")
def test_flash_attention_is_refused_with_a_reason_where_the_kernel_does_not_exist() -> None:
    with pytest.warns(UserWarning, match="last dimension"), pytest.raises(Skipped, match="no flash-attention kernel"):
        FlashAttention().attend(normal(1, 2, 3, 8), normal(1, 2, 3, 8), normal(1, 2, 3, 9))


def test_flash_attention_never_falls_back_to_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = []
    real = torch.nn.functional.scaled_dot_product_attention

    def watched(*args: torch.Tensor) -> torch.Tensor:
        cuda = torch.backends.cuda  # where the switches live, the CPU's too
        allowed.append((cuda.flash_sdp_enabled(), cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled()))
        return real(*args)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    FlashAttention().attend(normal(1, 2, 3, 8), normal(1, 2, 3, 8), normal(1, 2, 3, 8))

    assert allowed == [(True, False, False)]


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("readout", ["gene", "pooled"])
def test_attention_and_flash_attention_with_equal_weights_say_the_same(readout: str, heads: int) -> None:
    genes, scope = normal(B, K), normal(300, K, seed=1)
    said = []
    for kind in (Attention, FlashAttention):
        psi = kind(heads=heads, readout=readout).build(K, H, streams())  # type: ignore[arg-type]
        perturb(psi)
        said.append(psi(genes, scope))

    torch.testing.assert_close(*said, rtol=1e-5, atol=1e-5)


def test_explicit_attention_is_its_definition() -> None:
    q, k, v = normal(1, 2, 3, 4), normal(1, 2, 5, 4, seed=1), normal(1, 2, 5, 4, seed=2)
    for head in range(2):
        for i in range(3):
            odds = torch.tensor([torch.exp(q[0, head, i] @ row / 2.0) for row in k[0, head]])
            torch.testing.assert_close(Attention().attend(q, k, v)[0, head, i], (odds / odds.sum()) @ v[0, head])


def test_pca_says_the_principal_components_that_another_library_finds() -> None:
    scope, genes = normal(40, K) @ torch.diag(torch.linspace(1, 3, K)) + 5.0, normal(B, K, seed=1)
    psi = PCA(components=3).build(K, H, streams())
    psi.fit(scope)
    with torch.no_grad():
        psi.out.weight.zero_()[:3] = torch.eye(3)
    reference = sklearn.decomposition.PCA(3).fit(scope.numpy())
    expected = torch.from_numpy(reference.transform(genes.numpy())) / reference.singular_values_[0] * 40**0.5

    torch.testing.assert_close(psi(genes, scope)[:, :3].abs(), expected.abs().float(), rtol=1e-4, atol=1e-4)


def test_pca_does_not_change_with_the_scope_it_is_shown_later() -> None:
    psi = PCA(components=3).build(K, H, streams())
    psi.fit(normal(N, K))
    perturb(psi)

    assert torch.equal(psi(normal(B, K), normal(N, K, seed=1)), psi(normal(B, K), normal(N, K, seed=2)))


@pytest.mark.parametrize("condition", [FlashAttention(), Attention(), MLP(), PCA()], ids=lambda c: type(c).__name__)
def test_the_gene_readout_differs_between_genes_and_the_pooled_one_does_not(condition: FlashAttention | MLP) -> None:
    genes, scope = normal(B, K), normal(N, K, seed=1)

    encoders = [condition.build(K, H, streams()), replace(condition, readout="pooled").build(K, H, streams())]
    for psi in encoders:
        psi.fit(scope)
        perturb(psi)
    by_gene, pooled = (psi(genes, scope) for psi in encoders)

    assert (by_gene[0] - by_gene[1]).abs().max() > 1e-2
    assert pooled.shape == (1, H)


@pytest.mark.parametrize("kind", [FlashAttention, Attention, MLP, PCA])
def test_an_unknown_readout_is_refused_by_naming_the_valid_ones(kind: type) -> None:
    with pytest.raises(ValueError, match="'gene' or 'pooled'"):
        kind(readout="mean")


def test_dropout_drops_its_share_keeps_the_mean_and_leaves_evaluation_alone() -> None:
    layer, ones = Dropout(streams(rate=0.3)), torch.ones(200_000)

    dropped = layer(ones)

    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(layer.eval()(ones), ones)


def test_entry_masks_hit_exactly_their_share_of_zeros_and_of_non_zeros() -> None:
    zero = torch.rand((40, 90), generator=generator(0)) < torch.linspace(0, 1, 40).unsqueeze(1)
    noised = EntryMask(zero_ratio=0.4, nonzero_ratio=0.3, full_mask=0.0).draw(zero, generator(1))

    assert torch.equal((noised & zero).sum(1), (0.4 * zero.sum(1)).round().long())
    assert torch.equal((noised & ~zero).sum(1), (0.3 * (~zero).sum(1)).round().long())


def test_entry_masks_are_drawn_anew_and_anywhere() -> None:
    mask, zero, stream = EntryMask(full_mask=0.0), torch.zeros(1, 20, dtype=torch.bool), generator(0)

    hits = sum(mask.draw(zero, stream).long() for _ in range(400))

    assert hits.min() > 60  # 120 expected
    assert hits.max() < 180


def test_a_share_of_genes_is_masked_entirely() -> None:
    zero = torch.zeros(4000, 10, dtype=torch.bool)
    noised = EntryMask(zero_ratio=0.1, nonzero_ratio=0.1, full_mask=0.25).draw(zero, generator(0))

    assert noised.all(1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert FullMask().draw(zero, generator(0)).all()


def test_a_mask_that_hides_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="train on nothing"):
        EntryMask(zero_ratio=0.0, nonzero_ratio=0.0, full_mask=0.0)
