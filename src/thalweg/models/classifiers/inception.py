"""Inception-v3 up to its last pooling, in the variant that the Fréchet Inception distance (FID) is defined with."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Inception", "read_inception"]

SIDE = 299
WANTED = "the weights of Inception for FID (pt_inception-2015-12-05-6726825d.pth)"

# One line per branch: steps of name:channels:kernel, with names as in the published file. Kernels keep the size; those
# with "v" or "/2" have no padding, "/2" goes in steps of two; "+" is side by side; "pool" is the block's own.
A = """branch1x1:64:1
branch5x5_1:48:1 branch5x5_2:64:5
branch3x3dbl_1:64:1 branch3x3dbl_2:96:3 branch3x3dbl_3:96:3
pool branch_pool:{}:1"""
B = """branch3x3:384:3/2
branch3x3dbl_1:64:1 branch3x3dbl_2:96:3 branch3x3dbl_3:96:3/2
pool"""
C = """branch1x1:192:1
branch7x7_1:{0}:1 branch7x7_2:{0}:1x7 branch7x7_3:192:7x1
branch7x7dbl_1:{0}:1 branch7x7dbl_2:{0}:7x1 branch7x7dbl_3:{0}:1x7 branch7x7dbl_4:{0}:7x1 branch7x7dbl_5:192:1x7
pool branch_pool:192:1"""
D = """branch3x3_1:192:1 branch3x3_2:320:3/2
branch7x7x3_1:192:1 branch7x7x3_2:192:1x7 branch7x7x3_3:192:7x1 branch7x7x3_4:192:3/2
pool"""
E = """branch1x1:320:1
branch3x3_1:384:1 branch3x3_2a:384:1x3+branch3x3_2b:384:3x1
branch3x3dbl_1:448:1 branch3x3dbl_2:384:3 branch3x3dbl_3a:384:1x3+branch3x3dbl_3b:384:3x1
pool branch_pool:192:1"""
STEM = "Conv2d_1a_3x3:32:3/2 Conv2d_2a_3x3:32:3v Conv2d_2b_3x3:64:3 pool Conv2d_3b_1x1:80:1 Conv2d_4a_3x3:192:3v pool"
BLOCKS = {
    "Mixed_5b": (A.format(32), "average"),
    "Mixed_5c": (A.format(64), "average"),
    "Mixed_5d": (A.format(64), "average"),
    "Mixed_6a": (B, "halve"),
    "Mixed_6b": (C.format(128), "average"),
    "Mixed_6c": (C.format(160), "average"),
    "Mixed_6d": (C.format(160), "average"),
    "Mixed_6e": (C.format(192), "average"),
    "Mixed_7a": (D, "halve"),
    "Mixed_7b": (E, "average"),
    "Mixed_7c": (E, "maximum"),  # a mean in the paper; the published network was trained with the maximum
}
POOLS = {
    # The mean without the padding
    "average": lambda x: F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
    "maximum": lambda x: F.max_pool2d(x, 3, stride=1, padding=1),
    "halve": lambda x: F.max_pool2d(x, 3, stride=2),
}


class _Conv(nn.Module):
    """Convolution without bias, batch normalization, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: str) -> None:
        super().__init__()
        size = kernel.rstrip("v").removesuffix("/2")
        height, width = map(int, size.split("x") * (1 if "x" in size else 2))
        padding = ((height - 1) // 2, (width - 1) // 2) if kernel == size else (0, 0)
        stride = 2 if kernel.endswith("/2") else 1
        self.conv = nn.Conv2d(c_in, c_out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Block(nn.Module):
    """Parallel branches whose output channels are concatenated."""

    def __init__(self, c_in: int, branches: str, pool: str) -> None:
        super().__init__()
        self.branches, self.pool, self.channels = [line.split() for line in branches.split("\n")], POOLS[pool], 0
        for branch in self.branches:
            channels = c_in
            for step in branch:
                if step != "pool":
                    channels = sum(self._add(channels, *part.split(":")) for part in step.split("+"))
            self.channels += channels

    def _add(self, c_in: int, name: str, c_out: str, kernel: str) -> int:
        self.add_module(name, _Conv(c_in, int(c_out), kernel))
        return int(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated channels."""
        outputs = []
        for branch in self.branches:
            y = x
            for step in branch:
                if step == "pool":
                    y = self.pool(y)
                else:
                    y = torch.cat([self.get_submodule(part.split(":")[0])(y) for part in step.split("+")], dim=1)
            outputs.append(y)
        return torch.cat(outputs, dim=1)


class Inception(nn.Module):
    """The features of the FID papers: raw images (B, C, H, W) of 0..levels−1, gray or RGB → (B, 2048).

    Images are resized to 299×299 (bilinear, without antialiasing) and scaled to 2x/(levels − 1) − 1, as in pytorch-fid;
    the original TensorFlow code used (x − 128)/128. Unlike in the paper, average pooling excludes the padding and the
    last block uses maximum pooling. The names of the weights are those of the published file, without its `fc`.

    Reference: *Rethinking the Inception Architecture for Computer Vision*, Christian Szegedy, Vincent Vanhoucke, Sergey
    Ioffe, Jonathon Shlens, Zbigniew Wojna, 2015, arXiv:1512.00567. GANs Trained by a Two Time-Scale Update Rule
    Converge to a Local Nash Equilibrium, M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, 2017,
    arXiv:1706.08500.

    >>> sum(p.numel() for p in Inception().parameters())
    21785568
    """

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        self.levels = levels
        self.order, channels = [step.split(":")[0] for step in STEM.split()], 3
        for step in STEM.split():
            if step != "pool":
                name, c_out, kernel = step.split(":")
                self.add_module(name, _Conv(channels, int(c_out), kernel))
                channels = int(c_out)
        for name, (branches, pool) in BLOCKS.items():
            block = _Block(channels, branches, pool)
            self.add_module(name, block)
            self.order.append(name)
            channels = block.channels

    def forward(self, x: Num[Tensor, "B C H W"]) -> Float[Tensor, "B 2048"]:
        """Return the features of raw images. Raises ValueError unless they have 1 or 3 channels."""
        if x.shape[1] not in (1, 3):
            raise ValueError(f"images: got {x.shape[1]} channels, wanted 1 or 3 for Inception")
        y = F.interpolate(x.float() / (self.levels - 1), (SIDE, SIDE), mode="bilinear", align_corners=False)
        y = (2 * y - 1).expand(-1, 3, -1, -1)
        for name in self.order:
            y = F.max_pool2d(y, 3, stride=2) if name == "pool" else self.get_submodule(name)(y)
        return y.mean(dim=(2, 3))


def read_inception(path: Path | str, levels: int = 256) -> Inception:
    """Return the network with the weights of the published file, in evaluation mode, without gradients.

    Raises ValueError for any other file.
    """
    path = Path(path)
    try:
        state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"features: got {path}, which cannot be read ({error.strerror}); wanted {WANTED}") from None
    except Exception as error:  # a damaged file may raise any exception
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"features: got {path}, which holds no tensors ({reason[:80]}); wanted {WANTED}") from None
    network = Inception(levels)
    try:
        network.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("fc.")})
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"features: got {path}, which holds other tensors ({reason}…); wanted {WANTED}") from None
    return network.eval().requires_grad_(False)
