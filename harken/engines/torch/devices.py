"""Where PyTorch works: the device that is asked for, the threads on a processor, and figures that are what they seem.

On a card PyTorch may round the factors of convolutions to 10 binary digits (TF32), and choose other sums from run to run.
Within an engine's calls neither happens: cards give the same figures as processors but for the last digits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from harken.engines.base import check_device
from harken.errors import HarkenError
from harken.threads import usable_cores


def device_of(name: str, dtype: str) -> torch.device:
    """Return the device of a name in :data:`harken.engines.base.DEVICES`; ``"auto"`` is cuda, then mps, else cpu.

    Raises
    ------
    HarkenError
        No device has this name, it is not there, or it cannot compute with numbers of this type.
    """
    check_device(name)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(each for each, found in there.items() if found and not (each == "mps" and dtype == "float64"))
    if not there[name]:
        found = ", ".join(each for each, is_there in there.items() if is_there)
        raise HarkenError(
            f"the device {name!r} is not there: PyTorch {torch.__version__} finds {found}; take one of these, or 'auto'"
        )
    if name == "mps" and dtype == "float64":
        raise HarkenError("the device 'mps' does not compute in float64; take 'cpu' for it")
    return torch.device(name)


class _Threads:
    """Gives PyTorch all cores that this process may use, as long as somebody is inside.

    Not more of them than PyTorch itself chose when it was loaded, for which it looks at ``OMP_NUM_THREADS``; and a limit that
    somebody has set meanwhile (for the linear algebra, say, while files are heard) is put back by the last one out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = self._most = torch.get_num_threads()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
            self._inside += 1
            torch.set_num_threads(min(self._most, usable_cores()))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            torch.set_num_threads(self._before if not self._inside else torch.get_num_threads())


all_threads = _Threads()


def working(device: torch.device) -> AbstractContextManager[None]:
    """Return what to hold while working through many batches."""
    return all_threads if device.type == "cpu" else nullcontext()


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Let a card compute convolutions with all digits, and the same way every time."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
