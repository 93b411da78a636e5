"""One process of a training whose encoders are sharded: ``sharded.py RANK COUNT STORE OUT``."""

import gc
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
import small_job

from affect4d.models import EncoderOptions
from affect4d.training.distributed import Ranks, full_weights
from affect4d.training.options import CheckpointOptions
from affect4d.training.state_and_checkpoints import CheckpointPolicy, TrainingInterruptedError

TRANSFORMER = EncoderOptions(
    image="open_clip:tiny",
    text="open_clip:tiny",
    context_length=16,
    architecture={
        "embed_dim": 16,
        "vision_cfg": {"image_size": 24, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
)
small_job.INPUTS = small_job.InputOptions(channels=("grey", "shading", "grey"), motion="none", size=24)
small_job.MODEL = small_job.MODEL.model_copy(update={"encoder": TRANSFORMER})
TRAIN = small_job.TRAIN.model_copy(update={"ema_decay": 0.0})


def main(rank, count, store, out):
    """As a worker does: what holds a process group is gone before the group is."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    train_sharded(rank, count, out)
    gc.collect()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def train_sharded(rank, count, out):
    ranks = Ranks(rank, count, local_world_size=count, shard=True)
    folder = small_job.CheckpointFolder(out / "checkpoints", small_job.IDENTITY, 2)
    options = CheckpointOptions(checkpoint_minutes=0)

    def stop(done, *_):
        if done == 3:
            policy.stop()

    policy = CheckpointPolicy(folder, options, ranks)
    try:
        small_job.small_run("affect_vlm", None, TRAIN, ranks=ranks, policy=policy, on_step=stop)
    except TrainingInterruptedError:
        torch.distributed.barrier()
    policy = CheckpointPolicy(folder, options, ranks)
    model, state = small_job.small_run("affect_vlm", None, TRAIN, ranks=ranks, policy=policy)
    held = sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in model.parameters())
    weights = full_weights(model)
    whole = sum(parameter.numel() for parameter in model.parameters())
    if rank == 0:
        losses = torch.tensor([[row["loss"], row["gradient_norm"]] for row in state.history], dtype=torch.float64)
        save_file({**weights, "losses": losses, "held": torch.tensor([held, whole])}, out / "sharded.safetensors")


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
