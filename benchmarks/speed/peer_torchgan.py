"""Train the DCGAN of torchgan and print steps/s per line on stdin; runs in the environment of torchgan.

    python peer_torchgan.py STEPS

A step is a step of the generator and a step of the discriminator. Torchvision, which torchgan uses only for pictures at
the end of an epoch, is replaced by a mock, because its version may not match the version of torch.
"""

import os
import sys
import tempfile
import time
from unittest.mock import MagicMock

os.environ |= {"CONSOLE_LOGGING": "0", "TENSORBOARD_LOGGING": "0", "VISDOM_LOGGING": "0"}
out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
for name in ("torchvision", "torchvision.models"):
    sys.modules[name] = MagicMock()

import torch  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss  # noqa: E402
from torchgan.models import DCGANDiscriminator, DCGANGenerator  # noqa: E402
from torchgan.trainer import Trainer  # noqa: E402

B, STEPS = 64, int(sys.argv[1])
X = torch.rand(B * STEPS, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
ADAM = {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}}
SIZES = {"step_channels": 64}
MODELS = {
    "generator": {
        "name": DCGANGenerator,
        "args": {"encoding_dims": 100, "out_size": 32, "out_channels": 3, **SIZES},
        "optimizer": ADAM,
    },
    "discriminator": {
        "name": DCGANDiscriminator,
        "args": {"in_size": 32, "in_channels": 3, **SIZES},
        "optimizer": ADAM,
    },
}

with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        MODELS,
        [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
        device=torch.device("cpu"),
        epochs=1,
        sample_size=1,
        checkpoints=f"{folder}/model/gan",
        recon=f"{folder}/images",
    )
    loader = DataLoader(TensorDataset(X, torch.zeros(len(X))), batch_size=B, shuffle=True, drop_last=True)
    trainer.batch_size = B
    print("ready", file=out, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        trainer.train(loader)
        print(STEPS / (time.perf_counter() - began), file=out, flush=True)
