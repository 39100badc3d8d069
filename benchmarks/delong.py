"""Time of a paired DeLong test against the number of rows: `python -m benchmarks.delong`."""

from __future__ import annotations

import time

import numpy as np

from paraspinal_assets.statistics.delong import compare_auc_paired


def main() -> None:
    rng = np.random.default_rng(1)
    before = None
    print("     rows  seconds  ratio   seconds / (n log n), 1e-9")
    for n in (62_500, 125_000, 250_000, 500_000, 1_000_000, 2_000_000):
        y = (rng.random(n) < 0.05).astype(float)
        a, b = y + rng.normal(size=n), y + rng.normal(size=n)
        start = time.process_time()
        compare_auc_paired(y, a, b)
        seconds = time.process_time() - start
        ratio = f"{seconds / before:5.2f}" if before else "     "
        print(f"{n:9,}  {seconds:7.3f}  {ratio}   {1e9 * seconds / (n * np.log2(n)):6.2f}")
        before = seconds


if __name__ == "__main__":
    main()
