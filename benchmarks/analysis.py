"""How long the statistics take, against what they must reach.

Run: python -m benchmarks.analysis [small|large|delong]; one core is used (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from paraspinal_assets.statistics.analysis import analyze
from paraspinal_assets.statistics.delong import compare_auc_paired
from paraspinal_assets.statistics.spec import AnalysisSpec

COHORT = Path(__file__).parents[1] / "paraspinal_assets_tests" / "data" / "statistics" / "A.csv"
COUNTS = ("Age", "Tobacco")


def cohort(n: int | None = None, seed: int = 1) -> pd.DataFrame:
    """The synthetic cohort, or `n` rows drawn from it with measurements jittered so that none repeats."""
    table = pd.read_csv(COHORT, keep_default_na=False, na_values=["NA"])
    if n is None:
        return table
    generator = np.random.default_rng(seed)
    drawn = table.sample(n, replace=True, random_state=seed).reset_index(drop=True)
    for column in drawn.select_dtypes("number"):
        if drawn[column].nunique() > 3 and column not in COUNTS:
            drawn[column] += generator.normal(0, 0.05 * table[column].std(), n)
    return drawn


def report(name: str, seconds: float, limit: float) -> None:
    # VmHWM starts anew with the program; ru_maxrss would be handed down by the one that started it
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 2**20
    print(
        f"{name:50s} {seconds:8.2f} CPU-s, limit {limit:5.0f} s, ratio {seconds / limit:5.2f}; peak {peak:.2f} GB"
    )


def timed(name: str, table: pd.DataFrame, limit: float) -> None:
    start, wall = time.process_time(), time.perf_counter()
    analyze(table, AnalysisSpec(bootstrap=200))
    report(name, time.process_time() - start, limit)
    print(f"{'':50s} {time.perf_counter() - wall:8.2f} s of wall clock")


def delong() -> None:
    generator = np.random.default_rng(0)
    times = []
    for n in (62_500, 125_000, 250_000, 500_000, 1_000_000):
        y = (generator.random(n) < 0.05).astype(float)
        a, b = y + generator.normal(size=n), 0.8 * y + generator.normal(size=n)
        start = time.process_time()
        compare_auc_paired(y, a, b)
        times.append(time.process_time() - start)
        report(f"DeLong, {n:,} rows x 2 models", times[-1], 3)
    growth = [later / before for before, later in pairwise(times)]
    print("growth per doubling (2 is linear, 4 quadratic):", ", ".join(f"{g:.2f}" for g in growth))


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["small", "delong", "large"]
    if "small" in chosen:
        timed("analyze, 1,316 rows, 200 bootstrap replicates", cohort(), 20)
    if "delong" in chosen:
        delong()
    if "large" in chosen:
        timed("analyze, 100,000 rows, 200 bootstrap replicates", cohort(100_000), 120)
