"""Batches of raw examples and targets on a device: a function of (seed, step)."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from thalweg.checks import choice, positive
from thalweg.data.dataset import Split
from thalweg.data.indices import SCHEMES, page_length, randomness
from thalweg.data.indices import page as draw_page

__all__ = ["SCHEMES", "Batches"]

Array = np.ndarray[Any, Any]
MAX_BYTES = 8 << 30  # of a data set that is copied to a device with `resident` auto


class Batches:
    """Batches of raw examples and their targets on a device, in any order.

    `data` is a `Split` or a pair (x, y or None) of arrays or tensors. If they fit (`resident` auto or yes), all
    examples are kept on the device and a batch is gathered there; else a few threads gather the next batches from the
    (memory-mapped) arrays. The result of `get` depends neither on this nor on the number of threads.

    Of `world` processes, process r has the rows rB/world to (r+1)B/world of the joint batch. With the scheme `full` the
    batch is the whole data set, for any `batch_size`.

    Raises ValueError for an unknown scheme, a batch size that is no multiple of the number of processes and, without
    replacement, a batch larger than the data set.

    >>> with Batches((np.arange(10.0), None), batch_size=5, scheme="cyclic") as batches:
    ...     batches.get(1), batches.epoch(3)
    ((tensor([5., 6., 7., 8., 9.], dtype=torch.float64), None), 1.5)
    """

    def __init__(
        self,
        data: Split | tuple[Array | Tensor, Array | Tensor | None],
        batch_size: int,
        scheme: str = "shuffled",
        seed: int = 0,
        device: torch.device | str = "cpu",
        resident: Literal["auto", "yes", "no"] = "auto",
        threads: int = 2,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        x, y = (data.x, data.y) if isinstance(data, Split) else data
        self.scheme, self.seed, self.device = choice("scheme", scheme, SCHEMES), seed, torch.device(device)
        self.n = len(x)
        self.batch_size = self.n if scheme == "full" else positive("batch_size", batch_size)
        positive("examples", self.n)
        positive("threads", threads)
        if scheme == "without-replacement" and batch_size > self.n:
            raise ValueError(f"batch_size: got {batch_size}, wanted at most {self.n} without replacement")
        if self.batch_size % world:
            raise ValueError(f"batch_size: got {self.batch_size}, wanted a multiple of the {world} processes")
        self._rows = self.batch_size // world
        self._offset = rank * self._rows
        self._length = page_length(scheme, self.n, self.batch_size)
        self._pages: dict[int, Tensor] = {}
        self.resident = _fits(x, y, self.device) if choice("resident", resident, ("auto", "yes", "no")) == "auto" else (
            resident == "yes")  # fmt: skip
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: dict[int, Future[tuple[Tensor, Tensor | None]]] = {}
        if self.resident:
            self.x, self.y = _tensor(x, self.device), None if y is None else _tensor(y, self.device)
        else:
            self._arrays = (np.asarray(x), None if y is None else np.asarray(y))
            self._depth = 2 * threads
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="thalweg-batches")

    def get(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return (x, y) of batch `step` on the device: x `(B, *shape)` as stored, y `(B, *target.shape)` or None."""
        if self._pool is not None:
            return self._gathered(step)
        where = self._indices(step)
        y = self.y
        return self.x.index_select(0, where), None if y is None else y.index_select(0, where)

    def epoch(self, step: int) -> float:
        """Return the number of passes through the data set before batch `step`: step · B / N."""
        return step * self.batch_size / self.n

    def close(self) -> None:
        """Stop the threads. A resident data set can still be used."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._ahead.clear()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _indices(self, step: int) -> Tensor:
        """Return the indices of this process's rows of batch `step`: a slice of a cached page."""
        number, start = divmod(step * self.batch_size + self._offset, self._length)
        page = self._pages.get(number)
        if page is None:
            page = self._page(number)
        if start + self._rows <= self._length:
            return page.narrow(0, start, self._rows)
        parts, missing = [page[start:]], start + self._rows - self._length
        while missing > 0:
            number += 1
            page = self._pages[number] if number in self._pages else self._page(number)
            parts.append(page[:missing])
            missing -= self._length
        return torch.cat(parts)

    def _page(self, number: int) -> Tensor:
        drawn = torch.from_numpy(draw_page(self.scheme, randomness(self.seed, number), self.n, self.batch_size))
        drawn = drawn.to(self.device if self.resident else "cpu")
        while len(self._pages) > 1:  # the current one and a neighbor
            del self._pages[next(iter(self._pages))]
        self._pages[number] = drawn
        return drawn

    def _gathered(self, step: int) -> tuple[Tensor, Tensor | None]:
        assert self._pool is not None
        wanted = range(step, step + 1 + self._depth)
        for stale in [k for k in self._ahead if k not in wanted]:
            self._ahead.pop(stale).cancel()
        for k in wanted:
            if k not in self._ahead:
                self._ahead[k] = self._pool.submit(self._gather, self._indices(k).numpy())
        x, y = self._ahead.pop(step).result()
        return x.to(self.device, non_blocking=True), None if y is None else y.to(self.device, non_blocking=True)

    def _gather(self, where: Array) -> tuple[Tensor, Tensor | None]:
        x, y = self._arrays
        return self._take(x, where), None if y is None else self._take(y, where)

    def _take(self, a: Array, where: Array) -> Tensor:
        """Gather rows into memory of torch: pinned for a GPU, and with the same alignment in every process."""
        dtype = torch.from_numpy(np.empty(0, a.dtype)).dtype
        out = torch.empty((len(where), *a.shape[1:]), dtype=dtype, pin_memory=self.device.type == "cuda")
        np.take(a, where, axis=0, out=out.numpy(), mode="clip")  # "raise" would need a copy
        return out


def _tensor(a: Array | Tensor, device: torch.device) -> Tensor:
    if isinstance(a, np.ndarray):
        a = torch.from_numpy(a if a.flags.writeable else np.array(a))  # torch warns of read-only memory
    return a.to(device)


def _fits(x: Array | Tensor, y: Array | Tensor | None, device: torch.device) -> bool:
    """Return whether examples and targets may be copied to the device: at most 40 % of the free memory, and 8 GiB."""
    if isinstance(x, Tensor) or (device.type == "cpu" and not isinstance(x, np.memmap)):
        return True  # they are in memory already
    free = MAX_BYTES
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    elif hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return x.nbytes + (0 if y is None else y.nbytes) <= min(0.4 * free, MAX_BYTES)
