"""The GPU of this machine as its driver describes it, asked through the driver's own library and nothing else."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

from emotirt.errors import BackendUnavailable

_NAME_BYTES = 256
_MAJOR, _MINOR = 75, 76
"""``CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`` and ``_MINOR`` of the CUDA driver API."""
_REASONS = {
    3: "the driver is being shut down",
    34: "only the driver's stub library is here",
    100: "the driver sees no GPU",
    802: "the GPU is not ready yet",
    803: "the loaded kernel module and the driver library have different versions: reboot",
    804: "this GPU does not support the installed forward-compatible driver library",
}
"""``CUresult`` codes of ``cuInit``."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU that this process may use.

    Attributes:
        name: as the driver calls it.
        compute_capability: like ``8.6``.
        memory_bytes: all of it.
        driver_cuda: newest CUDA that the driver supports, like ``13.0``.
    """

    name: str
    compute_capability: str
    memory_bytes: int
    driver_cuda: str


def find_gpu() -> Gpu:
    """Describe the first GPU.

    Raises: BackendUnavailable: no driver, no GPU, or a driver that does not start; says which and what to do.
    """
    driver = load_driver()
    code = driver.cuInit(0)
    if code != 0:
        reason = _REASONS.get(code, f"cuInit gave CUDA error {code}")
        raise BackendUnavailable(f"no NVIDIA GPU to use: {reason}; see whether 'nvidia-smi' lists it")
    device, version, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _checked(driver.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
    _checked(driver.cuDeviceGetName(name, _NAME_BYTES, device), "cuDeviceGetName")
    _checked(driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    _checked(driver.cuDriverGetVersion(ctypes.byref(version)), "cuDriverGetVersion")
    capability = ".".join(str(_attribute(driver, device, number)) for number in (_MAJOR, _MINOR))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode(errors="replace"), capability, memory.value, cuda)


def load_driver() -> ctypes.CDLL:
    """Return the driver's library; raises BackendUnavailable where there is none."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(library)
    except OSError as exc:
        raise BackendUnavailable(
            f"no NVIDIA GPU to use: the driver's library {library} cannot be loaded ({exc}); install NVIDIA's driver, "
            "or start the container with '--gpus all'"
        ) from exc


def _attribute(driver: ctypes.CDLL, device: ctypes.c_int, number: int) -> int:
    value = ctypes.c_int()
    _checked(driver.cuDeviceGetAttribute(ctypes.byref(value), number, device), "cuDeviceGetAttribute")
    return value.value


def _checked(code: int, call: str) -> None:
    if code != 0:
        raise BackendUnavailable(f"the NVIDIA driver's {call} gave CUDA error {code}; see whether 'nvidia-smi' works")
