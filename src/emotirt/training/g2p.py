"""Train the spelling-to-phoneme model on CMUdict: align, fit, export to numpy weights.

Letters are aligned to chunks of 0-2 phonemes by Viterbi EM (the 1-to-many alignment of joint-sequence models, Bisani
and Ney 2008); a bidirectional GRU reads the letters, a GRU with the previous chunk as input writes one chunk a letter.
Run as ``python -m emotirt.training.g2p``: single-threaded and seeded, so the same PyTorch on the same kind of CPU gives
the same weights. ``emotirt bench spelling`` measures the packaged model on the words held out here.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emotirt.text.g2p import LETTERS, MODEL_FILE, SCALE
from emotirt.text.lexicon import default_lexicon
from emotirt.text.spelling_score import Symbols, split_words, without_stress

logger = logging.getLogger(__name__)

Example = tuple[str, tuple[Symbols, ...]]

EPOCHS = 20
BATCH_WORDS = 192
MIN_CHUNK_COUNT = 4
IMPOSSIBLE = -1e9
MOST_UNITS = 127
"""The largest 8-bit weight of a row, which its scale maps back to the row's largest."""


def align(entries: Mapping[str, Symbols], iterations: int = 6) -> list[Example]:
    """Align every word's letters to chunks of 0-2 phonemes; stress is ignored while aligning.

    Returns: (word, one chunk a letter) of each word that can be aligned.
    """
    scores: dict[tuple[str, Symbols], float] = {}
    examples: list[Example] = []
    for _ in range(iterations):
        examples = [(word, path) for word, phones in entries.items() if (path := _viterbi(word, phones, scores))]
        counts = Counter(
            (letter, without_stress(chunk)) for word, path in examples for letter, chunk in zip(word, path, strict=True)
        )
        totals: Counter[str] = Counter()
        for (letter, _), count in counts.items():
            totals[letter] += count
        scores = {key: float(np.log(count / totals[key[0]])) for key, count in counts.items()}
    return examples


def _viterbi(word: str, phones: Symbols, scores: Mapping[tuple[str, Symbols], float]) -> tuple[Symbols, ...]:
    plain = without_stress(phones)
    links: list[dict[int, int]] = []
    front = {0: 0.0}
    for index, letter in enumerate(word):
        left = len(word) - index - 1
        following: dict[int, float] = {}
        link: dict[int, int] = {}
        for start, score in front.items():
            for size in range(min(2, len(phones) - start) + 1):
                end = start + size
                if len(phones) - end > 2 * left:
                    continue
                fallback = -12.0 if scores else (-2.0, -1.0, -2.5)[size]
                total = score + scores.get((letter, plain[start:end]), fallback)
                if total > following.get(end, IMPOSSIBLE):
                    following[end], link[end] = total, start
        front = following
        links.append(link)
    path: list[Symbols] = []
    end = len(phones)
    for link in reversed(links):
        if end not in link:
            return ()
        path.append(phones[link[end] : end])
        end = link[end]
    return tuple(reversed(path))


class SpellingNetwork(nn.Module):
    """Letters [B,T] and previous chunks [B,T] -> chunk logits [B,T,chunks]."""

    def __init__(self, chunk_count: int, embedding: int = 64, encoder: int = 96, decoder: int = 192) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), embedding)
        self.encoder = nn.GRU(embedding, encoder, 2, batch_first=True, bidirectional=True, dropout=0.1)
        self.chunks = nn.Embedding(chunk_count + 1, embedding)
        self.decoder = nn.GRU(2 * encoder + embedding, decoder, batch_first=True)
        self.dropout = nn.Dropout(0.15)
        self.output = nn.Linear(decoder, chunk_count)

    def forward(self, letters: Tensor, previous: Tensor) -> Tensor:
        """Score chunks with the true history."""
        encoded = self.dropout(self.encoder(self.dropout(self.letters(letters)))[0])
        decoded, _ = self.decoder(torch.cat([encoded, self.chunks(previous)], dim=2))
        logits: Tensor = self.output(self.dropout(decoded))
        return logits


def batches(
    examples: Sequence[Example], chunk_ids: Mapping[Symbols, int], seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (letters, chunks) int64 [B,T]; words of one length share a batch, so nothing is padded."""
    rng = np.random.default_rng(seed)
    by_length: dict[int, list[Example]] = {}
    for example in examples:
        by_length.setdefault(len(example[0]), []).append(example)
    groups: list[list[Example]] = []
    for items in by_length.values():
        order = rng.permutation(len(items))
        groups += [[items[i] for i in order[k : k + BATCH_WORDS]] for k in range(0, len(items), BATCH_WORDS)]
    for index in rng.permutation(len(groups)):
        group = groups[index]
        letters = [[LETTERS.index(letter) for letter in word] for word, _ in group]
        yield torch.tensor(letters), torch.tensor([[chunk_ids[chunk] for chunk in path] for _, path in group])


def fit(examples: Sequence[Example], chunks: Sequence[Symbols], epochs: int, seed: int) -> SpellingNetwork:
    """Train: linear warm-up over 3 % of the steps, then cosine decay to zero."""
    torch.manual_seed(seed)
    chunk_ids = {chunk: index for index, chunk in enumerate(chunks)}
    network = SpellingNetwork(len(chunks))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.01, betas=(0.9, 0.98))
    started_s = time.perf_counter()
    for epoch in range(epochs):
        groups = list(batches(examples, chunk_ids, epoch))
        for index, (letters, target) in enumerate(groups):
            done = (epoch + index / len(groups)) / epochs
            for group in optimizer.param_groups:
                group["lr"] = 4e-3 * min(done / 0.03, 0.5 + 0.5 * np.cos(np.pi * done))
            first = torch.full_like(target[:, :1], len(chunks))
            logits = network(letters, torch.cat([first, target[:, :-1]], dim=1))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        logger.info(
            "epoch %d of %d, loss %.4f, %.0f s", epoch + 1, epochs, loss.item(), time.perf_counter() - started_s
        )
    return network


def weights_from_network(network: SpellingNetwork, chunks: Sequence[Symbols]) -> dict[str, NDArray[np.generic]]:
    """Name the weights as ``text/g2p.py`` reads them: 8 bits with a scale a row, and the chunk inventory as bytes."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, tensor in network.state_dict().items():
        value = tensor.detach().numpy()
        if value.ndim == 1:
            arrays[name] = value.astype(np.float16)
            continue
        scale = np.maximum(np.abs(value).max(axis=1), np.finfo(np.float32).tiny) / MOST_UNITS
        arrays[name] = np.rint(value / scale[:, None]).astype(np.int8)
        arrays[name + SCALE] = scale.astype(np.float32)
    inventory = "|".join(" ".join(chunk) for chunk in chunks)
    arrays["chunk_inventory"] = np.frombuffer(inventory.encode("ascii"), dtype=np.uint8)
    return arrays


def train(epochs: int, seed: int, model_path: Path) -> None:
    """Train on the words that are not held out, and write the packaged model."""
    torch.set_num_threads(1)
    aligned = align(split_words(default_lexicon(), seed).train)
    counts = Counter(chunk for _, path in aligned for chunk in path)
    chunks = sorted(chunk for chunk, count in counts.items() if count >= MIN_CHUNK_COUNT)
    kept = set(chunks)
    examples = [example for example in aligned if kept.issuperset(example[1])]
    logger.info("%d words, %d chunks", len(examples), len(chunks))
    network = fit(examples, chunks, epochs, seed).eval()
    np.savez_compressed(model_path, **weights_from_network(network, chunks))  # type: ignore[arg-type]  # numpy's stub


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=Path(__file__).parents[1] / "text" / "data" / MODEL_FILE)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(arguments.epochs, arguments.seed, arguments.model)


if __name__ == "__main__":
    main()
