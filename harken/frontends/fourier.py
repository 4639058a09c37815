"""The Fourier transform of rows of real numbers: SciPy's, without the quarter second that importing it takes.

``scipy.fft`` transforms several rows at once with vector instructions, at about twice the speed of ``numpy.fft``; but importing
it brings in much that is not needed here, for longer than a whole prediction takes. So the compiled module behind it (pocketfft
by M. Reinecke) is loaded by itself. Where a release of SciPy keeps it elsewhere, or does not let it be loaded so, ``scipy.fft``
is imported as usual: the same arithmetic, and the same numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.floating]
Spectra = npt.NDArray[np.complexfloating]
Transform = Callable[[Rows, Spectra], None]
"""Writes the transform of each row, (rows, n), into the second array, (rows, n // 2 + 1), of the same precision."""

_COMPILED = "scipy.fft._pocketfft.pypocketfft"


@cache
def real_transform() -> Transform:
    """Return the function that transforms rows, loaded once."""
    try:
        transform = _compiled_transform()
        _prove(transform)
    except (ImportError, AttributeError, TypeError, ValueError):
        return public_transform()
    return transform


def public_transform() -> Transform:
    """Return the same through SciPy's public interface, which takes a quarter of a second to import."""
    from scipy import fft  # noqa: PLC0415

    def transform(rows: Rows, out: Spectra) -> None:
        out[...] = fft.rfft(rows, axis=1)

    return transform


def _compiled_transform() -> Transform:
    module = sys.modules.get(_COMPILED)
    if module is None:
        scipy = find_spec("scipy")
        if scipy is None or scipy.origin is None:
            raise ImportError("SciPy is not installed")
        folder = Path(scipy.origin).parent / "fft" / "_pocketfft"
        spec = PathFinder.find_spec("pypocketfft", [str(folder)])
        if spec is None or spec.loader is None:
            raise ImportError(f"{folder} holds no pypocketfft")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    r2c = module.r2c

    def transform(rows: Rows, out: Spectra) -> None:
        r2c(rows, (1,), True, 0, out, 1)  # along axis 1, forward, unscaled, on this thread

    return transform


def _prove(transform: Transform) -> None:
    """Raise ValueError where the function does not do what it is here for."""
    rows = np.array([[1, 2, 3, 4], [0, 1, 0, 0]], dtype=np.float32)
    out = np.zeros((2, 3), dtype=np.complex64)
    transform(rows, out)
    if not np.allclose(out, [[10, -2 + 2j, -2], [1, -1j, -1]]):
        raise ValueError("pypocketfft gives something else than a real Fourier transform")
