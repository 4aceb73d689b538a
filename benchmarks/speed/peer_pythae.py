"""Train the VAE of Pythae for one epoch per line on stdin and print images/s; runs in the environment of Pythae.

python peer_pythae.py shipped|equal
"""

import logging
import os
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115

import numpy as np  # noqa: E402
import torch  # noqa: E402
from pythae.models import VAE, VAEConfig  # noqa: E402
from pythae.pipelines import TrainingPipeline  # noqa: E402
from pythae.trainers import BaseTrainerConfig  # noqa: E402

EQUAL = sys.argv[1] == "equal"
N, B = 60_000, 128
X = ((np.random.default_rng(0).random((N, 1, 28, 28)) ** 4) > 0.5).astype(np.float32)
if EQUAL:
    torch.set_float32_matmul_precision("medium")

print("ready", file=out, flush=True)
for _ in sys.stdin:
    with tempfile.TemporaryDirectory() as folder:
        model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce"))
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            learning_rate=1e-3,
            per_device_train_batch_size=B,
            no_cuda=True,
            optimizer_params={"fused": True} if EQUAL else None,
        )
        began = time.perf_counter()
        TrainingPipeline(model=model, training_config=config)(train_data=X)
        print(N / (time.perf_counter() - began), file=out, flush=True)
