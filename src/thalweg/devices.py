"""Devices, deterministic sums, and the fast and exact implementation of float32 products on CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import perf_counter

import torch

__all__ = ["deterministic", "fast_matmul", "free_memory", "numerics", "peak_memory", "resolve_device",
           "resolve_precision", "synchronize"]  # fmt: skip


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is an accelerator if there is one, else the CPU.

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


def resolve_precision(name: str, device: torch.device) -> str:
    """Return the precision of that name; "auto" is bf16 where a step of a convolution is faster in it, else float32.

    It is measured, since processors that can compute in bf16 only slowly do not say so. A run stores the result, so
    that it is resumed with the same precision.

    >>> resolve_precision("bf16", torch.device("cpu"))
    'bf16'
    """
    if name != "auto":
        return name
    return "bf16" if _conv_seconds(device, bf16=True) < _conv_seconds(device, bf16=False) else "float32"


def _conv_seconds(device: torch.device, *, bf16: bool) -> float:
    """Return the least time of four steps, forward and backward, of a 3×3 convolution of 64 images of 64×16×16."""
    conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.ones(64, 64, 16, 16, device=device).to(memory_format=torch.channels_last).requires_grad_()
    seconds = []
    for _ in range(5):  # the first also prepares
        synchronize(device)
        start = perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            y = conv(x)
        y.sum().backward()
        synchronize(device)
        seconds.append(perf_counter() - start)
    return min(seconds[1:])


@contextmanager
def fast_matmul(device: torch.device) -> Iterator[None]:
    """Within, float32 products on a CPU are computed by oneDNN where that is exact; other devices are left unchanged.

    torch calls this "medium" precision since oneDNN may round to bfloat16 on some CPUs; whether it does is measured
    once. The choice never depends on a timing, so it is the same in every run on a machine.
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


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Within, sums into indexed elements are computed in a fixed order on a CPU, whatever the order of the threads.

    The gradient of `w[y]` is such a sum. A single thread always has a fixed order, so nothing is changed for it. Other
    devices are left unchanged: torch has no deterministic form of many of their operations.
    """
    from torch.utils import deterministic as settings

    if device.type != "cpu" or torch.get_num_threads() == 1:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = settings.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it costs time, and the values are never read
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def numerics(device: torch.device) -> dict[str, str | int]:
    """Return what the last bits of a run's results depend on beside its settings.

    >>> sorted(numerics(torch.device("cpu")))
    ['instructions', 'processor', 'products', 'threads', 'torch']
    """
    if device.type == "cuda":
        return {"torch": str(torch.__version__), "processor": torch.cuda.get_device_name(device)}
    return {
        "torch": str(torch.__version__),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "products": "oneDNN" if _medium_is_exact() else "BLAS",
    }


def _processor() -> str:
    import platform
    from pathlib import Path

    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


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


def synchronize(device: torch.device) -> None:
    """Wait until the device has completed all queued operations; a CPU has no queue."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def peak_memory(device: torch.device) -> float:
    """Return the peak memory so far, in MiB: of the accelerator's allocator, or resident memory of this process.

    >>> peak_memory(torch.device("cpu")) > 1
    True
    """
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def free_memory() -> int:
    """Return how many bytes of main memory are free for this process, as Linux says; elsewhere 2⁶², no limit.

    >>> free_memory() > 0
    True
    """
    limits = [2**62]
    with suppress(OSError), open("/proc/meminfo") as file:
        limits += [1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # no control group, or one without a limit ("max")
        group = Path("/sys/fs/cgroup")
        limits.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(limits))
