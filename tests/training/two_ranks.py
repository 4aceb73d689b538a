"""Trains a few problems for a few steps and saves their weights: run by one process, or by each of several ranks.

python two_ranks.py OUT
"""

import os
import sys
from pathlib import Path

import torch

from thalweg.config import TrainConfig
from thalweg.data import Augment, Batches, Spec, Split, Target
from thalweg.objectives.adversarial import wasserstein
from thalweg.problems.adversarial import AdversarialGame
from thalweg.recipes import recipe
from thalweg.training import Sources, train

sys.path.insert(0, str(Path(__file__).parents[1]))
from toy_problems import IGNORED, KINDS, regression_run

STEPS = 4
SPEC = Spec(name="levels", kind="image", shape=(1, 8, 8), levels=17, mean=(8.0,), std=(5.0,))


def runs():
    """One run each of a VAE, a clipped WGAN, a WGAN with gradient penalty, a VQ-VAE of two stages, a Glow whose
    first batch sets its scales, augmented masks, tokens in micro-batches, a Real NVP with batch normalization."""
    result = {}
    for name in ("vae", "wgan", "penalty"):
        torch.manual_seed(0)
        options = {"latent_dim": 4, "hidden": 16}
        run = recipe("vae" if name == "vae" else "wgan")(SPEC, **options)
        (stage,) = run.stages
        if name == "penalty":
            from dataclasses import replace

            stage = replace(stage, problem=AdversarialGame(run.model, wasserstein(), penalty=10.0))
            run = replace(run, stages=(stage,))
        result[name] = run.configured(TrainConfig(steps=STEPS, batch_size=16))
    torch.manual_seed(0)
    run = recipe("vq-vae")(SPEC, codes=8, dim=4, hidden=8, layers=1)
    result["vq-vae"] = run.configured(TrainConfig(steps=STEPS, batch_size=16))
    torch.manual_seed(0)
    result["glow"] = recipe("glow")(SPEC, layers=2, hidden=4).configured(TrainConfig(steps=STEPS, batch_size=16))
    torch.manual_seed(0)
    run = recipe("real-nvp")(SPEC, hidden=4, batch_norm=True)
    result["tokens"] = regression_run(STEPS, problem=KINDS["tokens"](), accumulate=2)
    target = Target(kind="mask", shape=(6, 6), ignored=IGNORED)
    augment = Augment(crop=2, hflip=True, vflip=True, rotate=30, target=target)
    result["mask"] = regression_run(STEPS, problem=KINDS["mask"](), augment=augment)
    result["batch-norm"] = run.configured(TrainConfig(steps=STEPS, batch_size=16))
    return result


def main(out: str) -> None:
    torch.set_num_threads(1)
    x = torch.randint(0, 17, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy()
    split = Split(x)
    for name, run in runs().items():

        def sources(stage, world):
            data = getattr(stage.problem, "data", None)
            batches = Batches(
                data or split, stage.batch_size, scheme="shuffled", seed=1, device=torch.device("cpu"),
                resident="yes", threads=1, rank=world.rank, world=world.size,
            )  # fmt: skip
            return Sources(batches, [])

        train(run, sources, TrainConfig(device="cpu"))
        torch.save(run.model.state_dict(), f"{out}/{name}.{os.environ.get('RANK', 'alone')}.pt")


if __name__ == "__main__":
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")  # once for all runs; the engine joins the existing group
    main(sys.argv[1])
    if "RANK" in os.environ:
        # A process that exits with threads of gloo still running may be aborted by their destructors; and rank 0,
        # which serves the store, may leave only after the others have finished with it.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
