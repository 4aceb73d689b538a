"""Where and how numbers are computed: the device, and the fast exact route of float32 products on CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

__all__ = ["fast_matmul", "peak_memory", "resolve_device"]


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is an accelerator where there is one, else the CPU.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: got '{name}', wanted auto, cpu or an available accelerator ({reason})") from None
    return device


@contextmanager
def fast_matmul(device: torch.device) -> Iterator[None]:
    """Within, float32 products on a CPU take oneDNN's route where that is exact; left as it was on other devices.

    torch calls the route "medium" precision since oneDNN may round to bfloat16 on some CPUs; whether it does is
    measured once. The choice never depends on a timing, so it is the same in every run on a machine.
    """
    if device.type != "cpu" or not _medium_is_exact():
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def _medium_is_exact() -> bool:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 256, generator=draw), torch.randn(256, 256, generator=draw)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        error = (a @ b - (a.double() @ b.double())).abs().max()
    finally:
        torch.set_float32_matmul_precision(before)
    return bool(error < 1e-3)  # float32 gives 3e-5, bfloat16 0.3


def peak_memory(device: torch.device) -> float:
    """Return the most memory held so far, in MiB: of the accelerator's allocator, or resident of this process.

    >>> peak_memory(torch.device("cpu")) > 1
    True
    """
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
