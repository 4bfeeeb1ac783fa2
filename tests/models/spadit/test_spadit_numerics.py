"""Precision and compilation change digits and time, not what is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.method import Run, Skipped
from models.spadit.numerics import Numerics
from tests.models.spadit.spadit_problems import quick, simulated


def test_bfloat16_learns_what_float32_learns_and_not_its_bits() -> None:
    problem, _ = simulated()
    exact = quick(steps=40).impute(problem, Run.local(0))

    rough = quick(steps=40, numerics=Numerics(precision="bfloat16")).impute(problem, Run.local(0))

    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.999


def test_matrices_are_multiplied_in_the_precision_asked_for() -> None:
    a = torch.ones(4, 4)

    with Numerics(precision="bfloat16").computing("cpu"):
        assert (a @ a).dtype == torch.bfloat16
    with Numerics().computing("cpu"):
        assert (a @ a).dtype == torch.float32


@pytest.mark.slow
def test_a_compiled_network_predicts_what_it_predicts_uncompiled() -> None:
    problem, _ = simulated(n_spots=30, n_targets=4)
    plain = quick(steps=4).impute(problem, Run.local(0))

    compiled = quick(steps=4, numerics=Numerics(compiled=True)).impute(problem, Run.local(0))

    np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)


def broken(graph: object, inputs: object) -> object:
    raise NotImplementedError("no compiler takes this")


def test_what_cannot_be_compiled_is_skipped_in_one_sentence() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: x + 1, backend=broken)

    said = r"cannot compile this network in float32 here \(\w+\); use Numerics\(compiled=False\)"
    with pytest.raises(Skipped, match=said), Numerics(compiled=True).refusing():
        compiled(torch.ones(2))


def test_other_errors_of_a_network_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"), Numerics(compiled=True).refusing():
        torch.ones(2) + torch.ones(3)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Numerics\.precision is 'float16'; expected 'float32' or 'bfloat16'"):
        Numerics(precision="float16")  # type: ignore[arg-type]
