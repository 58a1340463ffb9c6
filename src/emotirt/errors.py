"""The whole exception tree; imports nothing.

EmotiRTError
├── InvalidRequest            the caller's input cannot be spoken as asked
│   ├── EmptyText             nothing speakable in the text
│   ├── TextTooLong           past the hard limit
│   ├── UnknownVoice          no voice of that name
│   ├── VoiceExists           a voice of that name is there already
│   ├── VoiceUnusable         a user's voice that is broken, or that another encoder made
│   ├── UnknownEmotion        no emotion of that name
│   ├── UnknownModel          a server speaks with another model
│   ├── UnknownSymbol         a phoneme the bundle does not have
│   ├── UnsupportedFormat     no such audio format
│   └── InvalidAudio          a recording that cannot be read or used
├── Overloaded                too much is waiting already; says when to come again
├── DeadlineExceeded          no audio before the request's deadline
├── EngineClosed              the engine is closed or closing
├── OutputError               the result cannot be written where asked
├── BundleError               a bundle that cannot be read
│   ├── BundleNotFound
│   ├── ManifestInvalid
│   └── BundleCorrupt         a file whose hash differs from the manifest
├── BuildError
│   ├── ExportFailed
│   ├── ImportFailed          somebody else's model that cannot be taken over
│   ├── PlanFailed            TensorRT refuses a graph or cannot build its plan
│   └── ParityFailed
├── TrainingError             corpus, features or checkpoint unusable
└── BackendError
    ├── BackendUnavailable    a library or device is missing
    ├── OutOfProfile          a shape that no optimization profile of a plan covers; another backend takes it
    ├── DeviceOutOfMemory     the GPU has no room for what was asked
    ├── DeviceFault           the GPU faulted; nothing in this process can use it any more
    ├── PlanUnusable          a TensorRT plan is missing, cut, damaged, or made for something else; says which
    ├── WorkerLost            the worker process died, hung or never came up
    └── OutputPoisoned        a backend gave NaN, silence or clipping where there should be speech

Every message says what failed, the offending value, and what is accepted or how to fix it.
"""

from __future__ import annotations


class EmotiRTError(Exception):
    """Base of every error raised on purpose by EmotiRT."""


class InvalidRequest(EmotiRTError):
    """The caller's input cannot be spoken as asked."""


class EmptyText(InvalidRequest):
    """The text holds nothing that can be spoken."""


class TextTooLong(InvalidRequest):
    """The text exceeds the hard limit."""


class UnknownVoice(InvalidRequest):
    """No voice has the requested name."""


class VoiceExists(InvalidRequest):
    """A voice of the requested name is there already."""


class VoiceUnusable(InvalidRequest):
    """A user's voice is broken, or another encoder made it."""


class UnknownEmotion(InvalidRequest):
    """No emotion has the requested name."""


class UnknownModel(InvalidRequest):
    """A server speaks with another model than the one asked for."""


class UnknownSymbol(InvalidRequest):
    """A phoneme symbol is not in the symbol table."""


class UnsupportedFormat(InvalidRequest):
    """The requested audio format is not supported."""


class InvalidAudio(InvalidRequest):
    """A recording cannot be read or is unusable."""


class Overloaded(EmotiRTError):
    """Too much work is waiting to take on more.

    Attributes:
        retry_after_s: when there will probably be room, in seconds from now, more than 0.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(EmotiRTError):
    """A request had no audio before its deadline; what was left of it is not computed."""


class EngineClosed(EmotiRTError):
    """The engine takes no requests any more, or closed before this one was finished."""


class OutputError(EmotiRTError):
    """The result cannot be written where asked."""


class BundleError(EmotiRTError):
    """A bundle cannot be read."""


class BundleNotFound(BundleError):
    """No bundle at the given place."""


class ManifestInvalid(BundleError):
    """The manifest breaks its schema."""


class BundleCorrupt(BundleError):
    """A file's hash differs from the manifest."""


class BuildError(EmotiRTError):
    """A build step failed."""


class ExportFailed(BuildError):
    """A stage could not be exported to ONNX."""


class ImportFailed(BuildError):
    """A model of another project could not be taken over."""


class PlanFailed(BuildError):
    """TensorRT refuses a graph or cannot build its plan."""


class ParityFailed(BuildError):
    """An exported stage differs from its reference."""


class TrainingError(EmotiRTError):
    """A corpus, feature pack or checkpoint is unusable."""


class BackendError(EmotiRTError):
    """A backend failed while loading or running a stage."""


class BackendUnavailable(BackendError):
    """A backend's library or device is missing."""


class OutOfProfile(BackendError):
    """No optimization profile of a plan covers a shape."""


class DeviceOutOfMemory(BackendError):
    """The device has no room for what was asked; what it holds is unharmed."""


class DeviceFault(BackendError):
    """The device faulted, and with it every later call of this process: the process must be replaced."""


class PlanUnusable(BackendError):
    """There is no plan to load.

    Attributes:
        reason: one of ``bundle.plan_cache.Reason``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class WorkerLost(BackendError):
    """The worker process died, hung or never came up; what it held can be computed again."""


class OutputPoisoned(BackendError):
    """A backend gave NaN, silence or clipping where there should be speech."""
