"""Loading and launching compiled kernels through the driver's own library, in the context that CUDA's runtime made."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from emotirt.errors import BackendError, DeviceFault, PlanUnusable
from emotirt.runtime.gpu import load_driver

_MOST_DYNAMIC_SHARED_BYTES = 8
"""``CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`` of the CUDA driver API."""
_SHARED_BYTES = 97
"""``CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN``."""
_STICKY = (214, 218, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999)
"""``CUresult`` codes after which nothing in the process can use the GPU."""


class Module:
    """Compiled kernels on the GPU; a context must be current, as after any call of CUDA's runtime in this thread."""

    def __init__(self, cubin: bytes) -> None:
        """Load them.

        Raises: PlanUnusable: they are for another GPU, or damaged.
        """
        self._driver = load_driver()
        self._module = ctypes.c_void_p()
        self._kernels: dict[str, Kernel] = {}
        self._shared_bytes = _attribute(self._driver, _SHARED_BYTES)
        code = self._driver.cuModuleLoadData(ctypes.byref(self._module), cubin)
        if code != 0:
            raise PlanUnusable(
                f"the driver cannot load the compiled kernels (CUDA error {code}); build them again", "damaged"
            )

    def kernel(self, name: str, shared_bytes: int) -> Kernel:
        """Return a kernel that may be launched with so much shared memory.

        Raises: PlanUnusable: there is none of that name. BackendError: the GPU has less shared memory.
        """
        if shared_bytes > self._shared_bytes:
            raise BackendError(
                f"kernel {name!r} needs {shared_bytes} bytes of shared memory, there are {self._shared_bytes}"
            )
        if name not in self._kernels:
            self._kernels[name] = self._found(name)
        return self._kernels[name]

    def _found(self, name: str) -> Kernel:
        function = ctypes.c_void_p()
        code = self._driver.cuModuleGetFunction(ctypes.byref(function), self._module, name.encode())
        if code != 0:
            raise PlanUnusable(
                f"the compiled kernels have no {name!r} (CUDA error {code}); build them again", "foreign"
            )
        code = self._driver.cuFuncSetAttribute(function, _MOST_DYNAMIC_SHARED_BYTES, self._shared_bytes)
        if code != 0:
            raise BackendError(
                f"kernel {name!r} cannot have {self._shared_bytes} bytes of shared memory: CUDA error {code}"
            )
        return Kernel(self._driver, function, name)

    def close(self) -> None:
        """Unload them; nothing may be under way."""
        module, self._module = self._module, ctypes.c_void_p()
        if module:
            self._driver.cuModuleUnload(module)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel on the GPU."""

    driver: Any
    function: ctypes.c_void_p
    name: str

    def prepared(self, grid: tuple[int, int, int], threads: int, shared_bytes: int, arguments: bytes) -> PreparedLaunch:
        """Return a launch with everything but its stream; ``arguments`` is the kernel's only parameter."""
        return PreparedLaunch(self, grid, threads, shared_bytes, arguments)


class PreparedLaunch:
    """A launch that can be done again and again."""

    def __init__(
        self, kernel: Kernel, grid: tuple[int, int, int], threads: int, shared_bytes: int, arguments: bytes
    ) -> None:
        """Keep what it takes; see ``Kernel.prepared``."""
        self._kernel = kernel
        self._values = ctypes.create_string_buffer(arguments, len(arguments))
        self._pointers = (ctypes.c_void_p * 1)(ctypes.addressof(self._values))
        self._sizes = (*(ctypes.c_uint(size) for size in (*grid, threads, 1, 1, shared_bytes)),)

    def launch(self, stream: int) -> None:
        """Launch on a stream, by its address.

        Raises: DeviceFault: an earlier launch broke the context. BackendError: any other failure.
        """
        code = self._kernel.driver.cuLaunchKernel(
            self._kernel.function, *self._sizes, ctypes.c_void_p(stream), self._pointers, None
        )
        if code != 0:
            kind = DeviceFault if code in _STICKY else BackendError
            raise kind(f"kernel {self._kernel.name} cannot be launched: CUDA error {code}")


def _attribute(driver: ctypes.CDLL, number: int) -> int:
    device, value = ctypes.c_int(), ctypes.c_int()
    for code in (
        driver.cuCtxGetDevice(ctypes.byref(device)),
        driver.cuDeviceGetAttribute(ctypes.byref(value), number, device),
    ):
        if code != 0:
            raise BackendError(f"the GPU's shared memory cannot be asked for: CUDA error {code}")
    return value.value
