"""What the NVIDIA driver says, read from a small library that answers as the driver's does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = r"""
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGet(int *device, int ordinal) { *device = 3; return ordinal == 0 ? 0 : 101; }
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, "NVIDIA A10G", size);
    return device == 3 ? 0 : 1;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 24ull << 30; return device == 3 ? 0 : 1; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 6 : -1;
    return device == 3 ? ATTRIBUTE : 1;
}
"""
ASK = """
from emotirt.errors import BackendUnavailable
from emotirt.runtime.gpu import find_gpu
try:
    print(find_gpu())
except BackendUnavailable as exc:
    print("error:", exc)
"""
compiler = shutil.which("gcc") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(compiler is None or sys.platform != "linux", reason="needs a C compiler on Linux")


def asked(directory: Path, **outcomes: int) -> str:
    assert compiler is not None
    source = directory / "driver.c"
    source.write_text(DRIVER, encoding="ascii")
    defines = [f"-D{name}={code}" for name, code in ({"INIT": 0, "ATTRIBUTE": 0} | outcomes).items()]
    library = directory / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", *defines, "-o", library, source], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(directory), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@needs_compiler
def test_the_driver_describes_the_gpu(tmp_path: Path) -> None:
    answer = asked(tmp_path)
    assert "name='NVIDIA A10G', compute_capability='8.6', memory_bytes=25769803776, driver_cuda='12.4'" in answer


@needs_compiler
@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ({"INIT": 100}, "error: no NVIDIA GPU to use: the driver sees no GPU; see whether 'nvidia-smi' lists it"),
        ({"INIT": 803}, "the loaded kernel module and the driver library have different versions: reboot"),
        ({"INIT": 999}, "cuInit gave CUDA error 999"),
        ({"ATTRIBUTE": 201}, "error: the NVIDIA driver's cuDeviceGetAttribute gave CUDA error 201"),
    ],
)
def test_a_driver_that_fails_is_told(tmp_path: Path, outcomes: dict[str, int], words: str) -> None:
    assert words in asked(tmp_path, **outcomes)
