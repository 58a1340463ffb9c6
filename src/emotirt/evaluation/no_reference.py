"""Signal quality without a reference: DNSMOS, with the network that the package speechmos carries.

Source: Reddy et al. 2022, "DNSMOS P.835" (arXiv 2110.01763): networks that predict the ratings of signal, background
and overall quality of ITU-T P.835; the polynomials are those published with them. They were made for denoised calls, so
they rank noise and distortion, not naturalness. Only the file is used, not the package's code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from emotirt.errors import BackendUnavailable
from emotirt.types import FloatArray

RATE_HZ = 16_000
INPUT_SAMPLES = 144_160
"""9.01 s: what the network takes."""
STEP_SAMPLES = RATE_HZ
SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
OVERALL = (-0.06766283, 1.11546468, 0.04602535)


@dataclass(frozen=True, slots=True)
class Rating:
    """Predicted mean opinion scores, 1 to 5: of the speech signal, of the background, of both."""

    signal: float
    background: float
    overall: float

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class SignalRater:
    """The network, loaded."""

    def __init__(self, path: Path | None = None, threads: int = 1) -> None:
        """Load ``sig_bak_ovr.onnx``, None for the one in the installed package.

        Raises: BackendUnavailable: it is missing or cannot be loaded.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        place = packaged_network() if path is None else path
        try:
            self._session = onnxruntime.InferenceSession(str(place), options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # ONNX Runtime's exceptions share no public base
            raise BackendUnavailable(f"cannot load the signal rater {str(place)!r}: {exc}") from exc
        self._input = self._session.get_inputs()[0].name

    def rate(self, samples: FloatArray) -> Rating:
        """Rate float32 [samples] at 16 kHz; short speech is repeated until it is long enough."""
        filled = np.tile(samples, -(-INPUT_SAMPLES // max(1, len(samples))))
        heard = samples if len(samples) >= INPUT_SAMPLES else filled[:INPUT_SAMPLES]
        starts = range(0, len(heard) - INPUT_SAMPLES + 1, STEP_SAMPLES)
        raw = np.array([self._raw(heard[start : start + INPUT_SAMPLES]) for start in starts])
        scores = [np.polyval(curve, raw[:, index]).mean() for index, curve in enumerate((SIGNAL, BACKGROUND, OVERALL))]
        return Rating(*(float(score) for score in scores))

    def _raw(self, piece: FloatArray) -> FloatArray:
        found: FloatArray = self._session.run(None, {self._input: piece[None].astype(np.float32)})[0][0]
        return found


def packaged_network() -> Path:
    """Return where speechmos keeps the network.

    Raises: BackendUnavailable: the package is not installed.
    """
    spec = find_spec("speechmos")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "dnsmos_models" / "sig_bak_ovr.onnx"
        if path.exists():
            return path
    raise BackendUnavailable("signal quality needs the network of speechmos; pip install 'emotirt[evaluate]'")
