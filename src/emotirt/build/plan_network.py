"""What every TensorRT does alike: parse a graph, name what it refuses, set profiles, build and report progress.

The Python modules of TensorRT 8.6, 10, 11 and TensorRT for RTX share these calls; what differs is in the adapters. The
module comes in as a value, so nothing here imports it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx

from emotirt.bundle.plans import Profile
from emotirt.errors import BackendUnavailable, PlanFailed

logger = logging.getLogger(__name__)

Progress = Callable[[float], None]
"""Takes the part of a build that is done, from 0 to 1."""
MOST_MESSAGES = 3
_IGNORED = "obeys the requested constraints"
"""In what 8.6 says of a layer whose preferred types no kernel has."""


@dataclass(slots=True)
class Messages:
    """What TensorRT complained about, newest last."""

    texts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def explained(self) -> str:
        """Return the errors in one line, else the warnings; the first say why, later ones only follow from them."""
        unique = list(dict.fromkeys(" ".join(text.split()) for text in self.texts or self.warnings))
        return "; ".join(unique[:MOST_MESSAGES]) or "it gave no reason"


def message_logger(trt: Any, messages: Messages) -> Any:
    """Make TensorRT's logger: errors are kept, and everything goes to our log for those who debug."""
    errors = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class PlanLogger(trt.ILogger):  # type: ignore[misc]  # the base comes from a module without types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            if severity in errors:
                messages.texts.append(text)
            elif severity == trt.ILogger.Severity.WARNING:
                messages.warnings.append(text)
            logger.debug("TensorRT: %s", text)

    return PlanLogger()


def create_builder(trt: Any, trt_logger: Any, messages: Messages) -> Any:
    """Start a builder.

    Raises: BackendUnavailable: TensorRT does not start, which without a driver or GPU it cannot (but for RTX it can).
    """
    try:
        return trt.Builder(trt_logger)
    except (TypeError, RuntimeError) as exc:  # the constructor gave a null pointer
        raise BackendUnavailable(
            f"TensorRT {trt.__version__} does not start: {messages.explained()}; its driver may be missing or too old"
        ) from exc


def parsed_network(trt: Any, builder: Any, trt_logger: Any, flags: int, graph: bytes, what: str) -> tuple[Any, Any]:
    """Parse a graph.

    Returns: the network, and its parser, which holds weights of it and has to live until it is built.
    Raises: PlanFailed: TensorRT's parser refuses it; names node, operator and the parser's own words.
    """
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, trt_logger)
    if not parser.parse(graph):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        refusals = "; ".join(_refusal(error, graph) for error in errors[:MOST_MESSAGES]) or "it gave no reason"
        raise PlanFailed(f"TensorRT {trt.__version__} refuses {what}: {refusals}")
    return network, parser


def add_profiles(builder: Any, config: Any, profiles: Sequence[Profile], what: str) -> None:
    """Set the optimization profiles.

    Raises: PlanFailed: TensorRT takes a profile for contradictory.
    """
    for index, profile in enumerate(profiles):
        made = builder.create_optimization_profile()
        for name, shapes in profile.inputs:
            made.set_shape(name, shapes.min, shapes.opt, shapes.max)
        if config.add_optimization_profile(made) < 0:
            raise PlanFailed(f"TensorRT takes profile {index} of {what} for contradictory: {profile.inputs}")


def built_plan(
    builder: Any, network: Any, config: Any, messages: Messages, what: str, relax: Callable[[], bool] = lambda: False
) -> bytes:
    """Build, and once more where something can be let go.

    Raises: PlanFailed: it failed; with TensorRT's own words.
    """
    plan = builder.build_serialized_network(network, config)
    if plan is None and relax():
        logger.warning(
            "%s cannot be built with every type as asked for: %s; types may change", what, messages.explained()
        )
        plan = builder.build_serialized_network(network, config)
    ignored = sum(_IGNORED in text for text in messages.warnings)
    if plan is not None and ignored:
        logger.warning("%s: %d layers do not have the types asked for, because no kernel has them", what, ignored)
    if plan is None:
        raise PlanFailed(f"TensorRT cannot build {what}: {messages.explained()}")
    return bytes(plan)


class PhaseTree:
    """Turns TensorRT's nested phases into one number that only grows."""

    def __init__(self, progress: Progress) -> None:
        """Report to ``progress``."""
        self._progress = progress
        self._open: list[_Phase] = []
        self._reported = 0.0

    def start(self, name: str, steps: int) -> None:
        """Enter a phase within the one entered last."""
        self._open.append(_Phase(name, max(1, steps)))

    def step(self, name: str) -> None:
        """Count a step of a phase."""
        for phase in self._open:
            if phase.name == name:
                phase.done = min(phase.steps, phase.done + 1)
        self._report()

    def finish(self, name: str) -> None:
        """Leave a phase and whatever was entered within it."""
        places = [index for index, phase in enumerate(self._open) if phase.name == name]
        if places:
            del self._open[places[-1] :]
        if not self._open:
            self._reported = 1.0
            self._progress(1.0)

    def _report(self) -> None:
        done, share = 0.0, 1.0
        for phase in self._open:
            done += share * phase.done / phase.steps
            share /= phase.steps
        if done > self._reported:
            self._reported = min(1.0, done)
            self._progress(self._reported)


@dataclass(slots=True)
class _Phase:
    name: str
    steps: int
    done: int = 0


def watched(trt: Any, config: Any, progress: Progress) -> Callable[[], None]:
    """Report progress where this TensorRT can tell it (8.6 cannot), and let an interruption end the build.

    Returns: to be called after the build; raises what interrupted it.
    """
    if not hasattr(trt, "IProgressMonitor"):
        return lambda: None
    tree = PhaseTree(progress)
    interruptions: list[BaseException] = []

    def kept(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as exc:  # must not pass through TensorRT, whose threads do not expect it
            interruptions.append(exc)

    class PlanMonitor(trt.IProgressMonitor):  # type: ignore[misc]  # the base comes from a module without types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            kept(lambda: tree.start(phase_name, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            kept(lambda: tree.step(phase_name))
            return not interruptions

        def phase_finish(self, phase_name: str) -> None:
            kept(lambda: tree.finish(phase_name))

    config.progress_monitor = PlanMonitor()

    def settle() -> None:
        if interruptions:
            raise interruptions[0]

    return settle


def _refusal(error: Any, graph: bytes) -> str:
    """Put the place and the words of a parser's error together; 8.6 gives the place only as the node's number."""
    if hasattr(error, "node_name"):
        name, kind = error.node_name(), error.node_operator()
    else:
        name, kind = _node_at(graph, error.node())
    place = f"node {name!r} ({kind})" if name or kind else "the graph"
    code = getattr(error.code(), "name", str(error.code())).replace("_", " ").lower()
    return f"{place}: {code}, {' '.join(error.desc().split())}"


def _node_at(graph: bytes, index: int) -> tuple[str, str]:
    nodes = onnx.load_from_string(graph).graph.node
    return (nodes[index].name, nodes[index].op_type) if 0 <= index < len(nodes) else ("", "")
