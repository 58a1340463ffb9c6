"""Take over a public EmotiVoice model: its files to our networks, tables and names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer
from torch import Tensor

from emotirt.build.emotivoice_config import PublicConfig, PublicNetworks, model_config, prompt_config, public_config
from emotirt.build.emotivoice_files import (
    EmotiVoiceFiles,
    read_json,
    read_labels,
    read_tokenizer,
    read_weights,
    read_yaml,
)
from emotirt.build.emotivoice_weights import (
    SPEAKER_TABLE,
    SYMBOL_TABLE,
    generator_tensors,
    load_generator,
    load_prompt_encoder,
    style_tensors,
    table,
)
from emotirt.errors import ImportFailed
from emotirt.models.checkpoint import Networks, build_networks
from emotirt.models.config import ModelConfig, PromptConfig
from emotirt.models.vocoder import Generator
from emotirt.text.emotivoice_symbols import expected_symbols
from emotirt.types import FloatArray


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A public model, read.

    Attributes:
        networks: with float32 weights, in evaluation mode.
        speakers: name to vector, float32 [speaker_dim], in the list's order.
        tokenizer: word pieces of prompts and sentences.
        is_random: whether it was never trained.
    """

    networks: Networks
    speakers: dict[str, FloatArray]
    tokenizer: Tokenizer
    is_random: bool = False


def load_public_model(files: EmotiVoiceFiles) -> PublicModel:
    """Read a public model; small files first, so that a wrong path is found before gigabytes are read.

    Raises: ImportFailed: a file is missing, broken or does not fit the others.
    """
    public = public_config(read_yaml(files.config), files.config)
    bert_path = files.bert / "config.json"
    prompt = prompt_config(read_json(bert_path, "BERT configuration"), bert_path)
    tokenizer = read_tokenizer(files.bert)
    if prompt.hidden != public.model.bert_embedding:
        raise ImportFailed(
            f"{str(bert_path)!r} gives vectors of {prompt.hidden}, {str(files.config)!r} expects "
            f"{public.model.bert_embedding}; they belong to different models"
        )
    if tokenizer.get_vocab_size() > prompt.vocabulary:
        raise ImportFailed(
            f"the tokenizer in {str(files.bert)!r} knows {tokenizer.get_vocab_size()} pieces, its config.json says "
            f"{prompt.vocabulary}; they belong to different models"
        )
    source = f"generator {str(files.generator)!r}"
    tensors = generator_tensors(read_weights(files.generator, "generator", "generator"))
    speakers, symbol_rows = table(tensors, SPEAKER_TABLE, source), table(tensors, SYMBOL_TABLE, source)
    names = read_labels(files.speakers, len(speakers), "speaker list", "the generator's speaker table")
    symbols = read_labels(files.tokens, len(symbol_rows), "token list", "the generator's symbol table")
    _check_symbols(symbols, files)
    networks = build_networks(model_config(public, prompt, symbols, speakers.shape[1]))
    assert isinstance(networks.vocoder, Generator)  # as the public configuration says
    load_generator(networks.acoustic, networks.vocoder, tensors, source)
    _load_style(networks, files)
    return PublicModel(networks, _named_rows(names, speakers), tokenizer)


def full_size_config(symbols: tuple[str, ...]) -> ModelConfig:
    """Return the configuration of the published checkpoint."""
    networks = PublicNetworks(
        bert_embedding=768,
        encoder_n_layers=4,
        encoder_n_heads=8,
        encoder_n_hidden=384,
        encoder_kernel_size_conv_mod=3,
        decoder_n_layers=4,
        decoder_n_heads=8,
        decoder_n_hidden=384,
        decoder_kernel_size_conv_mod=3,
        variance_n_hidden=384,
        variance_n_layers=3,
        variance_kernel_size=3,
        variance_embed_kernel_size=9,
        duration_n_layers=2,
        duration_kernel_size=3,
        resblock="1",
        initial_channel=80,
        upsample_rates=(8, 8, 2, 2),
        upsample_kernel_sizes=(16, 16, 4, 4),
        upsample_initial_channel=512,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5),) * 3,
    )
    public = PublicConfig(sr=16_000, n_fft=1024, hop_length=256, win_length=1024, fmin=0.0, n_mels=80, model=networks)
    return model_config(public, PromptConfig(), symbols, networks.encoder_n_hidden)


def _check_symbols(symbols: tuple[str, ...], files: EmotiVoiceFiles) -> None:
    lacking = [symbol for symbol in expected_symbols() if symbol not in symbols]
    if lacking:
        raise ImportFailed(
            f"token list {str(files.tokens)!r} lacks {len(lacking)} symbols that the front end writes: "
            f"{', '.join(lacking[:8])}; give the list that this checkpoint was trained with"
        )
    repeated = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if repeated:
        raise ImportFailed(f"token list {str(files.tokens)!r} repeats {', '.join(map(repr, repeated[:8]))}")


def _load_style(networks: Networks, files: EmotiVoiceFiles) -> None:
    assert networks.prompt is not None
    source = f"style encoder {str(files.style_encoder)!r}"
    tensors = style_tensors(read_weights(files.style_encoder, "model", "style encoder"))
    load_prompt_encoder(networks.prompt, tensors, source)


def _named_rows(names: tuple[str, ...], rows: Tensor) -> dict[str, FloatArray]:
    """Pair names with rows; of a name that stands there twice the last row counts, as in the public code."""
    vectors = np.ascontiguousarray(rows.numpy(), dtype=np.float32)
    return {name: vectors[index] for index, name in enumerate(names) if name}
