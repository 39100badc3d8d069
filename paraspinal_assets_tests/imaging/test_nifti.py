"""Files that lie or are damaged: an error, in bounded time and memory, and never another value."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from paraspinal_assets.errors import VolumeError
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import content_digest, read_volume, write_volume

from .scenes import trunk

FUZZ_CASES = 1000


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "ct.nii"
    write_volume(path, trunk()[0])
    return path


def damaged(path, *fields):
    """The file with some header fields overwritten: (struct format, byte, values...)."""
    raw = bytearray(path.read_bytes())
    for layout, at, *values in fields:
        struct.pack_into("<" + layout, raw, at, *values)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("field", "code"),
    [
        (("i", 0, 349), "E-VOL-01"),
        (("4s", 344, b"ni1\0"), "E-VOL-01"),
        (("h", 72, 8), "E-VOL-01"),
        (("f", 108, float("nan")), "E-VOL-01"),
        (("f", 108, 340.0), "E-VOL-01"),
        (("f", 108, 1e9), "E-VOL-01"),
        (("f", 108, 352.5), "E-VOL-01"),
        (("2f", 112, float("inf"), 0.0), "E-VOL-01"),
        (("B", 123, 1), "E-VOL-01"),
        (("h", 42, 23), "E-VOL-02"),
        (("h", 42, 21), "E-VOL-02"),
        (("h", 42, 32767), "E-VOL-02"),
        (("3h", 42, 32767, 32767, 32767), "E-VOL-04"),
        (("h", 42, 0), "E-VOL-05"),
        (("h", 42, -22), "E-VOL-05"),
        (("h", 40, 2), "E-VOL-05"),
        (("h", 40, 99), "E-VOL-05"),
        (("2h", 252, 0, 0), "E-VOL-06"),
        (("f", 284, 0.01), "E-VOL-06"),
        (("f", 280, 1.6), "E-VOL-06"),
        (("f", 280, -1.5), "E-VOL-06"),
        (("f", 80, 0.0), "E-VOL-06"),
        (("f", 292, float("nan")), "E-VOL-06"),
        (("f", 292, 500.0), "E-VOL-06"),
        (("2h", 70, 128, 24), "E-VOL-07"),
    ],
)
def test_header_lies_are_refused(plain, field, code):
    with pytest.raises(VolumeError) as caught:
        read_volume(damaged(plain, field))
    assert caught.value.code == code


def test_a_slicer_segmentation_is_named_as_such(tmp_path):
    (tmp_path / "a.seg.nrrd").write_bytes(b"NRRD0004\ntype: uint8\n" + bytes(600))
    with pytest.raises(VolumeError, match="NRRD file, not NIfTI") as caught:
        read_volume(tmp_path / "a.seg.nrrd")
    assert "export it as NIfTI" in caught.value.remedy


def test_sheared_axes_are_refused(plain):
    with pytest.raises(VolumeError, match="sheared") as caught:
        read_volume(damaged(plain, ("f", 284, 0.002), ("h", 252, 0)))
    assert caught.value.code == "E-VOL-06"


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_either_form_alone_is_enough(tmp_path, form):
    ct, _ = trunk()
    turned = ct.affine.copy()
    angle = np.radians(20)
    turned[:3, :3] = [
        [np.cos(angle), -np.sin(angle), 0],
        [np.sin(angle), np.cos(angle), 0],
        [0, 0, 1],
    ] @ turned[:3, :3]
    image = nib.Nifti1Image(ct.data, turned)
    image.set_sform(turned, code=int(form == "sform"))
    image.set_qform(turned, code=int(form == "qform"))
    nib.save(image, tmp_path / "a.nii.gz")
    assert_allclose(read_volume(tmp_path / "a.nii.gz").affine, turned, atol=1e-4)


def test_limit_is_on_the_claim(plain):
    size = 2 * trunk()[0].data.size
    assert read_volume(plain, max_bytes=size)
    with pytest.raises(VolumeError, match="limit"):
        read_volume(plain, max_bytes=size - 1)


def test_gzip_cannot_hold_what_an_absurd_header_claims(plain):
    raw = damaged(plain, ("3h", 42, 1100, 1100, 1100)).read_bytes()
    path = plain.with_name("b.nii.gz")
    path.write_bytes(gzip.compress(raw))
    tracemalloc.start()
    with pytest.raises(VolumeError) as caught:
        read_volume(path)
    assert caught.value.code == "E-VOL-02"
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory with RLIMIT_DATA")
def test_absurd_header_is_refused_within_512_mb(plain):
    damaged(plain, ("3h", 42, 1024, 1024, 900))
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from paraspinal_assets.errors import VolumeError\n"
        "from paraspinal_assets.imaging.volume_io import read_volume\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({512 * 2**20},) * 2)\n"
        "try: read_volume(sys.argv[1])\n"
        "except VolumeError as error: print(error.code)\n"
        # VmHWM starts anew with the program; ru_maxrss would be handed down by the test's own process
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(plain)], capture_output=True, text=True, check=True
    )
    code_found, peak_kb = done.stdout.split()
    assert code_found == "E-VOL-02"
    assert int(peak_kb) < 512 * 1024


def test_a_lie_within_reach_of_the_compression_is_found_before_allocation(tmp_path):
    zeros = Volume(np.zeros((64, 64, 64), np.int16), np.eye(4))
    write_volume(tmp_path / "a.nii", zeros)
    raw = damaged(tmp_path / "a.nii", ("h", 46, 128)).read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(raw))
    tracemalloc.start()
    with pytest.raises(VolumeError, match="less data"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 2 * zeros.data.nbytes
    tracemalloc.stop()


def test_trailing_bytes_are_refused(plain):
    raw = plain.read_bytes()
    plain.write_bytes(raw + b"\0")
    longer = plain.with_name("b.nii.gz")
    longer.write_bytes(gzip.compress(raw + b"\0"))
    garbage = plain.with_name("c.nii.gz")
    garbage.write_bytes(gzip.compress(raw) + b"garbage")
    for path in (plain, longer, garbage):
        with pytest.raises(VolumeError):
            read_volume(path)


@pytest.mark.slow
def test_no_damage_to_a_gzip_stream_changes_a_value(tmp_path):
    """Bit flips and truncations: either an error, or (in gzip fields without meaning) the very same volume."""
    rng = np.random.default_rng(3)
    smooth = rng.normal(0, 60, (20, 18, 16)).cumsum(axis=0).astype(np.int16)
    original = tmp_path / "a.nii.gz"
    write_volume(original, Volume(smooth, np.diag([0.7, 0.7, 1.25, 1.0])))
    raw, digest = original.read_bytes(), content_digest(read_volume(original))
    target = tmp_path / "b.nii.gz"
    harmless = 0
    for case in range(FUZZ_CASES):
        damage = bytearray(raw)
        if case % 5 == 4:
            damage = damage[: rng.integers(len(raw))]
        else:
            at = rng.integers(len(raw)) if case % 5 else rng.integers(24)  # the start of the file more often
            damage[at] ^= 1 << rng.integers(8)
        target.write_bytes(damage)
        try:
            assert content_digest(read_volume(target)) == digest, f"case {case}: silently another volume"
            harmless += 1
        except VolumeError:
            pass
    assert harmless < FUZZ_CASES // 8  # time stamp, flags and file system of the gzip header


@pytest.mark.slow
def test_no_damage_to_a_plain_header_escapes_as_another_error(plain):
    """A plain file has no checksum; whatever its header says, the answer is a volume or a `VolumeError`."""
    raw = plain.read_bytes()
    rng = np.random.default_rng(4)
    for _ in range(FUZZ_CASES):
        damage = bytearray(raw)
        damage[rng.integers(352)] ^= 1 << rng.integers(8)
        plain.write_bytes(damage)
        try:
            volume = read_volume(plain)
        except VolumeError:
            continue
        assert np.isfinite(volume.affine).all()
        assert volume.data.size == trunk()[0].data.size
