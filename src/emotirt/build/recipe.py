"""Networks, vectors and a description to a complete bundle."""

from __future__ import annotations

import argparse
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from emotirt.build.export import dimensions, export_stage, prepare_networks, stage_modules
from emotirt.build.parity import CASES, Difference, ShapeCase, compare_stage
from emotirt.bundle.contract import PROMPT_ENCODER, stage_contract
from emotirt.bundle.manifest import (
    EMOTIRT_FRONTEND,
    FORMAT_VERSION,
    CreatedBy,
    EmotionEntry,
    Manifest,
    MelEntry,
    PromptEntry,
    StageEntry,
    TensorEntry,
    VoiceEntry,
    first_problem,
)
from emotirt.bundle.store import Bundle, arrays_from_npz, file_entry, stage_file_name, write_bundle
from emotirt.errors import BuildError
from emotirt.models.checkpoint import Networks, load_networks
from emotirt.models.config import ModelConfig
from emotirt.models.vocoder import vocoder_context_frames
from emotirt.runtime.eager import EagerRunner
from emotirt.runtime.open import default_threads
from emotirt.runtime.ort import OrtRunner
from emotirt.types import FloatArray, TensorSpec

logger = logging.getLogger(__name__)

VECTORS_FILE = "vectors.npz"
TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Description:
    """What people know about a bundle and its networks do not.

    Attributes:
        name: of the bundle.
        languages: codes of the languages it speaks.
        voices: offered by name.
        emotions: offered by name.
        default_voice: language code to voice name.
        licence: of the weights.
        attribution: who must be named.
        frontend: which front end writes its symbols.
        unit_vectors: whether voice and emotion vectors have unit length.
        random_weights: whether it was never trained.
    """

    name: str
    languages: tuple[str, ...]
    voices: tuple[VoiceEntry, ...]
    emotions: tuple[EmotionEntry, ...]
    default_voice: dict[str, str]
    licence: str
    attribution: tuple[str, ...] = ()
    frontend: str = EMOTIRT_FRONTEND
    unit_vectors: bool = True
    random_weights: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A written bundle and how closely its graphs follow the networks."""

    bundle: Bundle
    differences: list[Difference] = field(default_factory=list)


def build_bundle(
    directory: Path,
    networks: Networks,
    vectors: Mapping[str, FloatArray],
    description: Description,
    commit: str,
    cases: tuple[ShapeCase, ...] = CASES,
    tokenizer: bytes | None = None,
    half: bool = True,
) -> Built:
    """Export every stage, compare it with its network and write the bundle whole or not at all.

    Args:
        directory: where; an existing bundle is replaced.
        networks: trained, of any precision.
        vectors: ``voice/<name>`` and ``emotion/<name>`` of everything described, float32; or ``voices``, a row a voice.
        description: names and licences.
        commit: of the code that builds.
        cases: shapes of the comparison.
        tokenizer: of the prompt encoder, where there is one.
        half: store weights in float16, which rounds them; else exactly, in float32.

    Raises:
        ExportFailed: a stage cannot be exported.
        ParityFailed: a graph differs from its network.
        BundleError: description and vectors do not fit together, or the place cannot be written.
    """
    prepared = prepare_networks(networks, half)
    graphs, differences = {}, []
    for stage in stage_modules(prepared):
        graphs[stage] = export_stage(prepared, stage, half)
        logger.info("exported %s: %.1f MB", stage, len(graphs[stage]) / 1e6)
        differences += _compared(prepared, stage, graphs[stage], cases)
    buffer = io.BytesIO()
    np.savez(buffer, **{key: vectors[key] for key in sorted(vectors)})  # type: ignore[arg-type]  # names are free
    files = {stage_file_name(stage): graph for stage, graph in graphs.items()} | {VECTORS_FILE: buffer.getvalue()}
    if tokenizer is not None:
        files[TOKENIZER_FILE] = tokenizer
    return Built(write_bundle(directory, _manifest(prepared, files, description, commit), files), differences)


def description_from_json(text: str | bytes, source: str) -> Description:
    """Parse a description.

    Raises: BuildError: names the broken key.
    """
    try:
        return TypeAdapter(Description).validate_json(text, strict=True, extra="forbid")
    except ValidationError as exc:
        raise BuildError(f"{source}: {first_problem(exc, Description)}") from exc


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt build``."""
    add = parser.add_argument
    add("--acoustic", type=Path, metavar="FILE", help="checkpoint of the acoustic model")
    add("--vocoder", type=Path, metavar="FILE", help="checkpoint of the vocoder")
    add("--vectors", type=Path, metavar="FILE", help="npz with voice/<name> and emotion/<name>")
    add("--description", type=Path, metavar="FILE", help="JSON with names, voices, emotions, licence")
    add("--size", choices=["emotivoice"], help="with --random: the sizes of the published EmotiVoice model")
    add("--random", action="store_true", help="random weights and pinned durations, for benchmarks; needs no files")
    add("--seed", type=int, default=0, help="of the random weights (default: 0)")
    add("--commit", default="unknown", help="commit of the code that trained, kept in the manifest")
    add("--out", type=Path, metavar="DIR", help="where the bundle goes")


def run(args: argparse.Namespace) -> int:
    """Build from files, or from nothing with ``--random``; returns the exit code.

    Raises: BuildError: options that do not go together, or as ``build_bundle``.
    """
    if args.out is None:
        raise BuildError("missing --out DIR, where the bundle goes")
    files = {"--acoustic": args.acoustic, "--vocoder": args.vocoder, "--vectors": args.vectors}
    files["--description"] = args.description
    if args.random != (args.size is not None):
        raise BuildError("--size and --random go together: --size emotivoice --random")
    if args.random:
        from emotirt.build.emotivoice_bundle import build_public_bundle, published_config, random_public_model

        model = random_public_model(published_config(), args.seed)
        build_public_bundle(args.out, model, "emotivoice-random", args.commit)
        return 0
    missing = [name for name, path in files.items() if path is None]
    if missing:
        raise BuildError(f"missing {', '.join(missing)}; or give --size emotivoice --random")
    description = description_from_json(_content(args.description), str(args.description))
    try:
        vectors = arrays_from_npz(_content(args.vectors))
    except ValueError as exc:
        raise BuildError(f"{args.vectors}: {exc}; write it with numpy.savez") from exc
    build_bundle(args.out, load_networks(args.acoustic, args.vocoder), vectors, description, args.commit)
    return 0


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise BuildError(f"{path} cannot be read: {exc.strerror or exc}") from exc


def _compared(networks: Networks, stage: str, graph: bytes, cases: tuple[ShapeCase, ...]) -> list[Difference]:
    contract = stage_contract(stage, dimensions(networks))
    reference = EagerRunner(stage, stage_modules(networks)[stage], contract.inputs, contract.outputs)
    candidate = OrtRunner(stage, graph, contract.inputs, contract.outputs, default_threads())
    symbol_count = len(networks.config.acoustic.symbols)
    prompt = networks.config.prompt
    if stage == PROMPT_ENCODER and prompt is not None:
        symbol_count = prompt.vocabulary
        cases = tuple(replace(case, tokens=min(case.tokens, prompt.max_tokens)) for case in cases)
    return compare_stage(stage, reference, candidate, symbol_count, cases)


def _manifest(networks: Networks, files: Mapping[str, bytes], description: Description, commit: str) -> Manifest:
    config = networks.config
    return Manifest(
        format_version=FORMAT_VERSION,
        name=description.name,
        sample_rate_hz=config.mel.sample_rate_hz,
        hop_samples=config.mel.hop_samples,
        mel=_mel_entry(config),
        symbols=config.acoustic.symbols,
        languages=description.languages,
        speaker_dim=config.acoustic.speaker_dim,
        emotion_dim=config.acoustic.emotion_dim,
        hidden_dim=config.acoustic.encoder.hidden,
        vocoder_context_frames=vocoder_context_frames(config),
        model=_model_entry(config),
        stages={
            stage: _stage_entry(networks, stage, files[stage_file_name(stage)]) for stage in stage_modules(networks)
        },
        vectors=file_entry(VECTORS_FILE, files[VECTORS_FILE]),
        voices=description.voices,
        emotions=description.emotions,
        default_voice=description.default_voice,
        licence=description.licence,
        attribution=description.attribution,
        created_by=CreatedBy(_version(), commit),
        content_dim=config.acoustic.content_dim,
        frontend=description.frontend,
        unit_vectors=description.unit_vectors,
        random_weights=description.random_weights,
        prompt=_prompt_entry(config, files),
    )


def _prompt_entry(config: ModelConfig, files: Mapping[str, bytes]) -> PromptEntry | None:
    if config.prompt is None:
        return None
    if TOKENIZER_FILE not in files:
        raise BuildError("the networks have a prompt encoder, but no tokenizer was given for it")
    return PromptEntry(file_entry(TOKENIZER_FILE, files[TOKENIZER_FILE]), config.prompt.max_tokens)


def _mel_entry(config: ModelConfig) -> MelEntry:
    mel = config.mel
    return MelEntry(mel.n_mels, mel.fft_samples, mel.window_samples, mel.low_hz, mel.high_hz, mel.log_floor)


def _model_entry(config: ModelConfig) -> dict[str, object]:
    """Return the configuration without the symbols, which the manifest holds already."""
    sections = config.to_dict()
    del sections["acoustic"]["symbols"]
    return sections


def _stage_entry(networks: Networks, stage: str, graph: bytes) -> StageEntry:
    entry = file_entry(stage_file_name(stage), graph)
    contract = stage_contract(stage, dimensions(networks))
    return StageEntry(
        entry.file, entry.sha256, entry.bytes, _tensor_entries(contract.inputs), _tensor_entries(contract.outputs)
    )


def _tensor_entries(specs: tuple[TensorSpec, ...]) -> tuple[TensorEntry, ...]:
    return tuple(TensorEntry(spec.name, spec.dtype, spec.shape) for spec in specs)


def _version() -> str:
    try:
        return version("emotirt")
    except PackageNotFoundError:
        return "unknown"
