"""A batch of scans: reading the next ones and handing over the last ones run beside inference."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from paraspinal_assets.errors import MachineError, ParaspinalError
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure
from paraspinal_assets.segmenters.gates import memory_estimate, memory_for_scans
from paraspinal_assets.segmenters.memory import let_go
from paraspinal_assets.segmenters.nifti import grid_of_file
from paraspinal_assets.segmenters.worker import Inferred, Worker

LOOKAHEAD: Final = 2
"""Scans for every lane that are begun before the first of those in work is handed over; fewer if they are large."""


def in_parallel(worker: Worker, scans: Iterable[ScanInput]) -> Iterator[Segmentation | SegmentationFailure]:
    """Read the next scans and judge the last ones while the networks work on this one."""
    pools = [ThreadPoolExecutor(worker.lanes, step) for step in ("read", "infer", "finish")]
    reader, runner, finisher = pools
    waiting: deque[tuple[Future[Segmentation | SegmentationFailure], int]] = deque()
    most, memory = LOOKAHEAD * worker.lanes, memory_for_scans()
    try:
        if worker.reuse:
            # Beside the reading of the first scans. Its errors come again with each of them.
            runner.submit(worker.load)
        for scan in scans:
            needed = _memory_needed(scan)
            while waiting and (len(waiting) > most or sum(n for _, n in waiting) + needed > memory):
                yield waiting.popleft()[0].result()
            ready = reader.submit(worker.read, scan)
            inferred = runner.submit(worker.infer, scan, ready)
            waiting.append((finisher.submit(_result, worker, scan, inferred), needed))
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _memory_needed(scan: ScanInput) -> int:
    try:
        return memory_estimate(grid_of_file(scan.ct_path))
    except Exception:  # noqa: BLE001 - it comes again when the scan is read, and belongs to it there
        return 0


def _result(
    worker: Worker, scan: ScanInput, inferred: Future[Inferred]
) -> Segmentation | SegmentationFailure:
    try:
        return worker.finish(scan, inferred.result())
    except ParaspinalError as error:
        let_go(error)
        return SegmentationFailure(scan.key, error)
    except SystemExit as error:  # how the package reports licences and missing files
        return SegmentationFailure(
            scan.key,
            MachineError(
                "E-SEG-31",
                f"{scan.key}: TotalSegmentator ended the program with {error.code!r}",
                "check licence and weights with `paraspinal weights --check STUDY`",
            ),
        )
    except Exception as error:  # noqa: BLE001 - the batch goes on, whatever a package does with one scan
        return SegmentationFailure(
            scan.key,
            MachineError(
                "E-SEG-34",
                f"{scan.key}: TotalSegmentator failed: {type(error).__name__}: {error}",
                "look at the scan; if it is sound, report the message",
            ),
        )
