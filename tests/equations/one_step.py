"""One training step in double precision, as one of several processes or alone: ``one_step.py RANK COUNT STORE OUT``.

Every process draws the whole batch from one seed and keeps its own, distinct share of it.
"""

import os
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

from affect4d.models import EncoderOptions, ModelOptions, build_model, clip_tokens
from affect4d.training.distributed import SINGLE_PROCESS, Ranks, synchronise_batchnorm
from affect4d.training.gradients_and_optimizer import build_optimizer, clip_gradients, compute_gradients
from affect4d.training.objectives import METHODS
from affect4d.training.options import AffectOptions, ContrastOptions, CrossEntropyOptions, SmileOptions, TrainOptions

SAMPLES = 11
WORDS = ("angry", "disgusted", "afraid", "happy", "sad", "surprised")

COMPACT = EncoderOptions(text="compact", image_width=32, text_width=32, text_layers=1, text_heads=2, context_length=16)
TRANSFORMER = EncoderOptions(
    image="open_clip:tiny",
    text="open_clip:tiny",
    context_length=16,
    architecture={
        "embed_dim": 24,
        "vision_cfg": {"image_size": 24, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
)
WALKED = ("affect, hardest", "smile")
UNSCALED = torch.amp.GradScaler("cpu", enabled=False)
ENCODERS = {"compact": COMPACT, "transformer": TRANSFORMER}

CASES = {
    "affect, hardest": ("affect_vlm", AffectOptions(mining="hardest")),
    "affect, all": ("affect_vlm", AffectOptions(mining="all")),
    "smile": ("smile_vlm", SmileOptions(gamma=0.5)),
    "cross-entropy": ("cross_entropy", CrossEntropyOptions()),
    "supervised contrast": ("supervised_contrast", ContrastOptions()),
}


def draw_batch(kind):
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(SAMPLES, 3, 3, 24, 24, generator=generator, dtype=torch.float64)
    groups = torch.randint(0, 3, (SAMPLES,), generator=generator)
    tokens = clip_tokens([f"a {WORDS[group]} face of {place % 4}" for place, group in enumerate(groups.tolist())], 16)
    return kind(images, tokens, groups, torch.arange(SAMPLES))


def walk(case, encoders, ranks=SINGLE_PROCESS, steps=4):
    """Weights after some steps of AdamW."""
    model, method, share, options = prepared(case, encoders, ranks)
    optimiser = build_optimizer(model, TrainOptions())
    for _ in range(steps):
        optimiser.zero_grad()
        compute_gradients(model, share, method.task(options), total=SAMPLES, parts=1, scaler=UNSCALED, ranks=ranks)
        clip_gradients(model, 5.0)
        optimiser.step()
    return {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}


def step(case, encoders, ranks=SINGLE_PROCESS, parts=1):
    """Loss, gradients and running statistics after one step of one case, by name."""
    model, method, share, options = prepared(case, encoders, ranks)
    value = compute_gradients(
        model, share, method.task(options), total=SAMPLES, parts=parts, scaler=UNSCALED, ranks=ranks
    )
    gradients = {f"gradient of {key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
    buffers = {f"buffer {key}": buffer for key, buffer in model.named_buffers() if "running" in key}
    return {"loss": value.loss.detach(), **gradients, **buffers}


def prepared(case, encoders, ranks):
    """A model in double precision, and this process's share of the batch."""
    name, options = CASES[case]
    method = METHODS[name]
    size = ModelOptions(encoder=ENCODERS[encoders], dim=24, views=3, channels=3, projector_width=32, fusion="attention")
    model = build_model(method.model, size, seed=1).double().train()
    synchronise_batchnorm(model, ranks, torch.device("cpu"))
    batch = draw_batch(method.batch)
    mine = ranks.share(slice(0, SAMPLES))
    share = type(batch)(*(tensor[mine] for tensor in vars(batch).values()))
    return model, method, share, options


def main(rank, count, store, out):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    ranks = Ranks(rank, count)
    found = {
        f"{encoders}|{case}|{parts}|{name}": value.contiguous()
        for encoders in ENCODERS
        for case in CASES
        for parts in ((1, 2) if encoders == "transformer" else (1,))
        for name, value in step(case, encoders, ranks, parts).items()
    }
    walked = {f"walk|{case}|{name}": t for case in WALKED for name, t in walk(case, "compact", ranks).items()}
    found |= {name: tensor.clone().contiguous() for name, tensor in walked.items()}
    save_file(found, Path(out) / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    warnings.simplefilter("ignore", FutureWarning)
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
