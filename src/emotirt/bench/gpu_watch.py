"""What NVML tells of the GPU while something runs: memory, busy time, energy; and why, where it tells nothing."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

INTERVAL_S = 0.02
PACKAGE = "nvidia-ml-py"


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What was seen between the start and the end of a watch.

    Attributes:
        memory_mb: largest memory of this process, or of the whole device where NVML does not tell processes apart.
        memory_of: ``process`` or ``device``.
        busy_pct: mean share of the time in which a kernel ran, as NVML samples it.
        energy_j: drawn by the whole device, None where it has no counter.
        samples: how often it was looked at.
    """

    memory_mb: float
    memory_of: str
    busy_pct: float
    energy_j: float | None
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)

    def facts(self, watched_s: float, audio_s_per_s: float) -> dict[str, Any]:
        """Return the same with the energy of an hour of audio, at the rate at which it was made meanwhile."""
        if self.energy_j is None or audio_s_per_s <= 0.0:
            return self.to_dict()
        energy_wh = self.energy_j / watched_s / audio_s_per_s  # watts over hours of audio an hour
        return {**self.to_dict(), "energy_wh_per_audio_hour": float(f"{energy_wh:.4g}")}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device by NVML.

    Attributes:
        index: of the device.
        name: as its maker calls it.
        memory_gib: in all.
        driver: version.
        cuda: version that the driver speaks.
        clocks_mhz: of the multiprocessors and the memory, now and at most.
    """

    index: int
    name: str
    memory_gib: float
    driver: str
    cuda: str
    clocks_mhz: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def find_gpu(index: int = 0) -> Gpu | str:
    """Describe a device, or say why there is none."""
    nvml = _nvml()
    if isinstance(nvml, str):
        return nvml
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        number = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
        clocks = {"multiprocessors": nvml.NVML_CLOCK_SM, "memory": nvml.NVML_CLOCK_MEM}
        found = {name: nvml.nvmlDeviceGetClockInfo(handle, kind) for name, kind in clocks.items()}
        most = {f"{name}_most": nvml.nvmlDeviceGetMaxClockInfo(handle, kind) for name, kind in clocks.items()}
        return Gpu(
            index,
            _text(nvml.nvmlDeviceGetName(handle)),
            round(nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30, 1),
            _text(nvml.nvmlSystemGetDriverVersion()),
            f"{number // 1000}.{number % 1000 // 10}",
            {**found, **most},
        )
    except nvml.NVMLError as exc:
        return f"NVML cannot read GPU {index}: {exc}"


class GpuWatch:
    """Looks at a device every ``INTERVAL_S`` while a ``with`` block runs.

    Attributes:
        absence: why nothing can be seen, empty where it can.
    """

    def __init__(self, index: int = 0) -> None:
        """Watch device ``index``."""
        nvml = _nvml()
        self.absence = nvml if isinstance(nvml, str) else ""
        self._nvml: Any = None if isinstance(nvml, str) else nvml
        self._index = index
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy: list[int] = []
        self._memory: list[int] = []
        self._memory_of = "process"
        self._energy_mj: list[int] = []

    def __enter__(self) -> GpuWatch:
        """Begin."""
        if self._nvml is not None:
            try:
                self._handle = self._nvml.nvmlDeviceGetHandleByIndex(self._index)
            except self._nvml.NVMLError as exc:
                self.absence = f"NVML cannot read GPU {self._index}: {exc}"
                return self
            self._note_energy()
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._note_energy()

    @property
    def use(self) -> GpuUse | None:
        """What was seen, None for nothing."""
        if not self._memory:
            return None
        energy = self._energy_mj
        return GpuUse(
            round(max(self._memory) / 2**20, 1),
            self._memory_of,
            round(sum(self._busy) / len(self._busy), 1),
            (energy[-1] - energy[0]) / 1000.0 if len(energy) > 1 else None,
            len(self._memory),
        )

    def _look(self) -> None:
        while True:
            try:
                self._busy.append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
                self._memory.append(self._used_bytes())
            except self._nvml.NVMLError as exc:
                self.absence = f"NVML stopped answering: {exc}"
                return
            if self._stop.wait(INTERVAL_S):
                return

    def _used_bytes(self) -> int:
        processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        own = [item.usedGpuMemory for item in processes if item.pid == os.getpid() and item.usedGpuMemory]
        if own:
            return int(own[0])
        self._memory_of = "device"  # in a container the driver sees other process numbers
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used)

    def _note_energy(self) -> None:
        try:
            self._energy_mj.append(int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)))
        except self._nvml.NVMLError:  # a device without the counter
            self._energy_mj.clear()


def _nvml() -> Any:
    """Return the initialized library, or a sentence about why there is none."""
    try:
        import pynvml
    except ImportError:
        return f"NVML is not read: the package {PACKAGE!r} is not installed; run: pip install 'emotirt[gpu-bench]'"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as exc:
        return f"NVML is not here: {exc}; it comes with the NVIDIA driver"
    return pynvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
