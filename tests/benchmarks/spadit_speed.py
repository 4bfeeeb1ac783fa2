"""How fast does SpaDiT train and sample, beside the released code's structure and beside the machine's own GEMM?

    python tests/benchmarks/spadit_speed.py [--part train|sample|share|options] [--repeats 5] [--device cpu]

The reference computes the same function the way the released code does: every sample brings its own copy of the whole
SC matrix, the condition is computed from it inside the step, attention is written out, masks are drawn gene by gene,
and AdamW is not fused. Its outputs and gradients are compared with ours (1e-5) before anything is timed. Each repeat
times all sides next to each other, in one thread; medians of seconds are printed. The data are made up: nothing here
depends on their values. The harness gives its workers allocator settings (`harness.cluster.connection`) under which
both sides are faster, the reference more so; set them in the environment to see.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.method import Skipped
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.conditions.mlp import MLP
from models.spadit.denoiser import Denoiser, Given
from models.spadit.diffusion import Diffusion
from models.spadit.latent import Latent
from models.spadit.layers import Streams, generator
from models.spadit.masking import EntryMask
from models.spadit.numerics import Numerics
from models.spadit.samplers import DDIM
from models.spadit.sc_features import RawCells
from models.spadit.spot_space import RawSpots
from models.spadit.tokens import InBatch
from models.spadit.training import Genes, Trainer, Training

GENES, TARGETS, BATCH = 301, 43, 64
"""Training genes, genes sampled, genes of a training step: as in the paper's MG dataset and the released code."""

AS_RELEASED = SpaDiT(
    condition=MLP(layers=3, readout="pooled"),
    latent=Latent(direct=False),
    tokens=InBatch(),
    spot_space=RawSpots(),
    sc_features=RawCells(),
    masking=EntryMask(zero_ratio=0.1, nonzero_ratio=0.3, full_mask=0.0),
    training=Training(steps=10**6, batch=BATCH, further=10**6, pairs=0.0, dropout=0.0, time_power=1.0),
)


def sized(method: SpaDiT, hidden: int, depth: int = 4, **training: Any) -> SpaDiT:
    """The method with another width and depth, and changes to its training."""
    backbone = Transformer(hidden=hidden, depth=depth, heads=8, mlp_ratio=4.0)
    return replace(method, backbone=backbone, training=replace(method.training, **training))


def trainer(method: SpaDiT, spots: int, cells: int, sc_genes: int, device: str = "cpu") -> Trainer:
    """A trainer on made-up genes, ready for its first step."""
    size, features = method.spot_space.size(spots, GENES), method.sc_features.size(cells, GENES)
    draw = generator(0)
    x0 = (torch.randn((GENES, size), generator=draw) * (torch.rand((GENES, size), generator=draw) < 0.3)).to(device)
    scope = torch.randn((sc_genes, features), generator=draw).to(device)
    context = torch.arange(method.tokens.context_size(), device=device) if method.tokens.context_size() else None
    genes = Genes(x0, x0 == 0, scope, 0.0, context, scope[:0], lambda _: 0.0)
    rng = generator(2, device)
    streams = Streams(generator(1), rng, method.training.dropout)
    model = Denoiser(method.latent, method.condition, method.backbone, method.tokens, size, features, streams)
    model = model.to(device)
    method.numerics.prepare(model)
    diffusion = Diffusion(method.schedule, method.parametrisation, device)
    return Trainer(method.training, model, diffusion, method.masking, genes, rng, method.numerics)


class Released:
    """The reference: our weights, copied, in the released code's structure."""

    def __init__(self, ours: Trainer) -> None:
        self.model = copy.deepcopy(ours.model)
        self.diffusion, self.genes, self.recipe, self.masking = ours.diffusion, ours.genes, ours.recipe, ours.masking
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.0)

    def fetched(self, places: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, S), x_hat (B, K) and the whole SC matrix for each sample (B, N, K), collated as a loader does."""
        items = [(self.genes.x0[i], self.genes.scope[i], self.genes.scope) for i in places]
        x, x_hat, matrix = (torch.stack(part) for part in zip(*items, strict=True))
        return x, x_hat, matrix

    def predict(self, x: Tensor, x_hat: Tensor, matrix: Tensor, t: Tensor) -> Tensor:
        """(B, S): everything computed anew."""
        model: Any = self.model
        c = model.time(t) + model.psi.net(matrix.mean(1))  # (B, H)
        h = torch.cat([model.phi.st(x), model.phi.sc(x_hat)], -1)  # (B, H)
        for block in model.trunk.blocks:
            shift, scale, gate, shift_a, scale_a, gate_a = block.modulation(c).chunk(6, -1)
            mixer = block.mixer
            qkv = mixer.qkv(block.norm(h) * (1 + scale_a) + shift_a).unflatten(-1, (3, mixer.heads, -1))
            q, k, v = qkv.permute(1, 2, 0, 3)  # (h, B, D)
            weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)  # (h, B, B)
            h = h + gate_a * mixer.out((weights @ v).transpose(0, 1).flatten(1))
            h = h + gate * block.mlp(block.norm(h) * (1 + scale) + shift)
        shift, scale = model.modulation(c).chunk(2, -1)
        return model.head(model.norm(h) * (1 + scale) + shift)

    def masks(self, x: Tensor) -> Tensor:
        """(B, S) True where noised: gene by gene, by listing its zeros and non-zeros."""
        masks = torch.zeros_like(x, dtype=torch.bool)
        assert isinstance(self.masking, EntryMask)
        for row, mask in zip(x, masks, strict=True):
            for places, share in ((row == 0, self.masking.zero_ratio), (row != 0, self.masking.nonzero_ratio)):
                listed = places.nonzero().squeeze(1)
                mask[listed[torch.randperm(len(listed))[: round(share * len(listed))]]] = True
        return masks

    def step(self) -> None:
        """One training step."""
        x, x_hat, matrix = self.fetched(torch.randperm(GENES)[:BATCH].tolist())
        mask = self.masks(x)
        t = torch.randint(1, self.diffusion.steps + 1, (BATCH,))
        eps = torch.randn_like(x)
        x_t = torch.where(mask, self.diffusion.forward(x, t, eps), x)
        loss = nn.functional.mse_loss(self.predict(x_t, x_hat, matrix, t) * mask, x * mask)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()


def check_equal(ours: Trainer, reference: Released) -> None:
    """Outputs and gradients agree to 1e-5 of their largest value, on weights of which none is zero."""
    for model in (ours.model, reference.model):
        stream = generator(7)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.02 * torch.randn(weight.shape, generator=stream))
    x, x_hat, matrix = reference.fetched(range(8))
    t = torch.arange(1, 9) * 100
    said = [
        ours.model(x, t, ours.model.given(x_hat, ours.genes.scope, None)),
        reference.predict(x, x_hat, matrix, t),
    ]
    gradients = [
        torch.autograd.grad(out.square().mean(), list(model.parameters()))
        for out, model in zip(said, (ours.model, reference.model), strict=True)
    ]
    for a, b in zip((said[0], *gradients[0]), (said[1], *gradients[1]), strict=True):
        apart = float(((a - b).abs().max() / b.abs().max()).detach())
        if apart > 1e-5:
            raise SystemExit(f"ours and the reference differ by {apart:.1e} of the largest value")


def medians(sides: Sequence[Callable[[], Any]], repeats: int, device: str = "cpu") -> list[float]:
    """Median seconds of each side over repeats in which they take turns, after one turn that is not counted."""
    taken: list[list[float]] = [[] for _ in sides]
    for repeat in range(repeats + 1):
        for side, seconds in zip(sides, taken, strict=True):
            start = time.perf_counter()
            side()
            if device != "cpu":
                torch.cuda.synchronize()
            if repeat:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def train(repeats: int) -> None:
    """Seconds per training step, and the ratio to the reference."""
    print(f"\nTraining step, 8000 spots x 5000 cells, hidden 256, depth 4, batch {BATCH}")
    print("SC genes  reference ms  same function ms  ratio  defaults ms  ratio")
    for sc_genes in (430, 1500):
        ours = trainer(sized(AS_RELEASED, 256), 8000, 5000, sc_genes)
        reference = Released(ours)
        check_equal(ours, reference)
        default = trainer(sized(SpaDiT(), 256, steps=10**6), 8000, 5000, sc_genes)
        theirs, same, usual = medians([reference.step, ours.advance, default.advance], repeats)
        print(
            f"{sc_genes:8} {1e3 * theirs:13.0f} {1e3 * same:17.1f} {theirs / same:6.1f} {1e3 * usual:12.1f} "
            f"{theirs / usual:6.1f}"
        )


def sample(repeats: int) -> None:
    """Seconds per denoising step, and the ratio to the reference."""
    steps = 10
    print(f"\nSampling, {TARGETS} genes, 8000 spots x 5000 cells, hidden 256, depth 4: ms per denoising step")
    print("SC genes  reference  float32  ratio  bfloat16  ratio  once per run, ms")
    for sc_genes in (430, 1500):
        ours = trainer(sized(AS_RELEASED, 256), 8000, 5000, sc_genes)
        reference = Released(ours)
        check_equal(ours, reference)
        rows = ours.genes.scope[:TARGETS]
        model, diffusion = ours.model.eval(), ours.diffusion

        def noise(size: int = ours.genes.x0.shape[1]) -> Tensor:
            return torch.randn(TARGETS, size)

        def released(x: Tensor, t: Tensor, reference: Released = reference) -> Tensor:
            _, x_hat, matrix = reference.fetched(range(TARGETS))
            return reference.predict(x, x_hat, matrix, t.expand(TARGETS))

        @torch.no_grad()
        def run(denoise: Callable[[Tensor, Tensor], Tensor], diffusion: Diffusion = diffusion) -> None:
            DDIM(steps=steps).sample(denoise, diffusion, noise)

        with torch.no_grad():
            given = model.given(rows, ours.genes.scope, None)

        def cached(precision: Any, model: Denoiser = model, given: Given = given) -> None:
            with torch.no_grad(), Numerics(precision=precision).computing("cpu"):
                run(lambda x, t: model(x, t, given).float())

        with torch.no_grad():
            (once,) = medians([lambda m=model, r=rows, o=ours: m.given(r, o.genes.scope, None)], repeats)  # type: ignore[misc]
        sides = [lambda: run(released), lambda: cached("float32"), lambda: cached("bfloat16")]
        theirs, single, half = (seconds / steps for seconds in medians(sides, repeats))
        print(
            f"{sc_genes:8} {1e3 * theirs:10.0f} {1e3 * single:8.1f} {theirs / single:6.1f} {1e3 * half:9.1f} "
            f"{theirs / half:6.1f} {1e3 * once:17.1f}"
        )


class Products(TorchDispatchMode):
    """Counts the matrix products of what runs inside: (kind, shapes) -> how often."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm", "bmm"):
            a, b = args[-2:]
            self.seen[(name == "bmm", tuple(a.shape), a.stride(), tuple(b.shape), b.stride())] += 1
        return func(*args, **(kwargs or {}))


def of_products(seen: Counter[tuple[Any, ...]], repeats: int, device: str) -> tuple[float, float]:
    """FLOP of the products, and seconds that they take one by one, in the same layouts, with nothing between."""
    flop = seconds = 0.0
    for (_, shape_a, stride_a, shape_b, stride_b), times in seen.items():
        a = torch.empty_strided(shape_a, stride_a, device=device).normal_()
        b = torch.empty_strided(shape_b, stride_b, device=device).normal_()
        calls = max(1, round(2e-3 * 1e11 / (2 * a.numel() * shape_b[-1])))
        (each,) = medians([lambda a=a, b=b, n=calls: [a @ b for _ in range(n)]], repeats, device)  # type: ignore[misc]
        flop += times * 2.0 * a.numel() * shape_b[-1]
        seconds += times * each / calls
    return flop, seconds


GOES_TO: dict[str, tuple[str, ...]] = {
    "products": ("addmm", "mm", "bmm"),
    "attention": ("_scaled_dot_product", "_softmax", "_flash_attention", "_efficient_attention"),
    "update": ("_fused_adamw", "lerp", "_foreach", "linalg_vector_norm", "zero_grad", "mul_"),
    "masks": ("sort", "scatter"),
    "random": ("uniform", "normal_", "random", "randperm"),
}
"""Operations by what they serve; what is in none of these is the rest: passes over tensors, copies, dispatch."""


def account(ours: Trainer, device: str, steps: int = 5) -> dict[str, float]:
    """What share of a step's time each kind of operation takes itself, by the profiler."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device != "cpu":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(steps):
            ours.advance()
    spent = dict.fromkeys([*GOES_TO, "rest"], 0.0)
    for event in profile.key_averages():
        own = event.self_cpu_time_total if device == "cpu" else event.self_device_time_total
        name = event.key.removeprefix("aten::")
        spent[next((kind for kind, names in GOES_TO.items() if name.startswith(names)), "rest")] += own
    return {kind: own / sum(spent.values()) for kind, own in spent.items()}


def share(repeats: int, device: str) -> None:
    """How much of a training step is matrix products at the machine's own rate for these very matrices, and the rest.

    The last columns are the profiler's account of where a step's time goes.
    """
    print("\nTraining step, 2000 spots x 2000 cells x 430 SC genes, depth 4, against the machine's own GEMM rate")
    kinds = [*GOES_TO, "rest"]
    print("hidden  batch  GFLOP  step ms  GF/s  GEMM alone ms  GEMM GF/s  share  | " + "  ".join(kinds))
    for hidden in (256, 512, 1024):
        for batch in (64, 256):
            ours = trainer(sized(AS_RELEASED, hidden, batch=batch), 2000, 2000, 430, device)
            with Products() as products:
                ours.advance()
            flop, alone = of_products(products.seen, repeats, device)
            (step,) = medians([ours.advance], repeats, device)
            spent = account(ours, device)
            print(
                f"{hidden:6} {batch:6} {flop / 1e9:6.1f} {1e3 * step:8.1f} {flop / step / 1e9:5.0f} "
                f"{1e3 * alone:14.1f} {flop / alone / 1e9:10.0f} {alone / step:6.0%}  | "
                + "  ".join(f"{spent[kind]:{len(kind)}.0%}" for kind in kinds),
                flush=True,
            )


def options(repeats: int, device: str) -> None:
    """What bfloat16 and torch.compile gain or lose in a training step, and how long compiling takes."""
    print("\nTraining step, 2000 spots x 2000 cells x 430 SC genes, depth 4: ms; in brackets the seconds to begin")
    print("hidden  batch             float32            bfloat16            compiled  bfloat16, compiled")
    kinds = [Numerics(), Numerics("bfloat16"), Numerics(compiled=True), Numerics("bfloat16", compiled=True)]
    for hidden, batch in ((256, 64), (512, 64), (512, 256)):
        began: dict[int, float] = {}
        ready: dict[int, Trainer] = {}
        for i, kind in enumerate(kinds):
            method = replace(sized(AS_RELEASED, hidden, batch=batch), numerics=kind)
            start = time.perf_counter()
            made = trainer(method, 2000, 2000, 430, device)
            try:
                with kind.refusing():
                    made.advance()
            except Skipped:
                continue
            began[i], ready[i] = time.perf_counter() - start, made
        taken = dict(zip(ready, medians([each.advance for each in ready.values()], repeats, device), strict=True))
        cells = [f"{1e3 * taken[i]:10.1f} ({began[i]:4.0f})" if i in taken else "not here" for i in range(len(kinds))]
        print(f"{hidden:6} {batch:6} " + " ".join(f"{cell:>19}" for cell in cells), flush=True)


BESIDE_THE_REFERENCE = {"train": train, "sample": sample}
ALONE = {"share": share, "options": options}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=[*BESIDE_THE_REFERENCE, *ALONE], action="append")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--device", default="cpu", help="cpu, or cuda for share and options; the reference is the CPU's"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    on_cpu = asked.device == "cpu"
    for part in asked.part or [*(BESIDE_THE_REFERENCE if on_cpu else ()), *ALONE]:
        if part in ALONE:
            ALONE[part](asked.repeats, asked.device)
        elif on_cpu:
            BESIDE_THE_REFERENCE[part](asked.repeats)
        else:
            parser.error(f"--part {part} is timed beside the reference, on the CPU only; leave --device out.")
