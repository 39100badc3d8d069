"""Types of the arrays that the statistics work on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
"""Shape ``(n,)``."""
Matrix = NDArray[np.float64]
"""Shape ``(n, p)``."""
Index = NDArray[np.intp]
"""Positions, shape ``(k,)``."""
Mask = NDArray[np.bool_]
"""Shape ``(n,)``."""
