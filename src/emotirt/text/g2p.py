"""Read English words that no lexicon lists: a small recurrent network in numpy, trained by ``training/g2p.py``.

A two-layer bidirectional GRU encodes the letters; a GRU decoder emits, for each letter, a chunk of 0-2 phonemes given
the chunk before, searched with a small beam. About 0.6 M weights, on disk 8 bits each with a scale a row.
"""

from __future__ import annotations

import io
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from emotirt.types import FloatArray

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MODEL_FILE = "g2p.npz"
SCALE = ".scale"
"""Behind the name of a matrix: what a unit of each of its rows stands for."""
BEAM = 3
# Multiplications of one product that OpenBLAS still does on the calling thread (found by timing): where other work
# keeps the cores busy, waiting for its threads takes ten times as long as the whole word.
UNDIVIDED_PRODUCT = 400_000


class SpellingModel:
    """Weights of the network, and the search."""

    def __init__(self, npz: bytes) -> None:
        """Open a model.

        Args:
            npz: contents of a model file: matrices as int8 with ``NAME.scale`` a row beside them, vectors as float16,
                all named as in the training network, and ``chunk_inventory``.
        """
        with np.load(io.BytesIO(npz)) as arrays:
            weights = {name: arrays[name] for name in arrays.files}
        inventory: NDArray[np.uint8] = weights.pop("chunk_inventory")
        self._chunks = tuple(tuple(chunk.split()) for chunk in inventory.tobytes().decode("ascii").split("|"))
        scales = {name: weights.pop(name + SCALE) for name in tuple(weights) if name + SCALE in weights}
        self._weights: dict[str, FloatArray] = {
            name: value.astype(np.float32) * (scales[name][:, None] if name in scales else 1.0)
            for name, value in weights.items()
        }

    def read(self, word: str) -> tuple[str, ...]:
        """Return ARPAbet phonemes with exactly one primary stress wherever there is a vowel.

        Args:
            word: letters a-z, lower case; other characters are skipped.
        """
        letters = [LETTERS.index(letter) for letter in word if letter in LETTERS]
        if not letters:
            return ()
        phones = [phone for index in self._search(self._encode(letters)) for phone in self._chunks[index]]
        return with_primary_stress(phones)

    def _encode(self, letters: list[int]) -> FloatArray:
        """Letters [T] -> states [T, 2 * encoder]."""
        states: FloatArray = self._weights["letters.weight"][letters]
        for layer in (0, 1):
            forward = self._gru_sequence(f"encoder.{{}}_l{layer}", states)
            backward = self._gru_sequence(f"encoder.{{}}_l{layer}_reverse", states[::-1])[::-1]
            states = np.concatenate([forward, backward], axis=1)
        return states

    def _gru_sequence(self, name: str, inputs: FloatArray) -> FloatArray:
        w = self._weights
        projected = product(inputs, w[name.format("weight_ih")].T) + w[name.format("bias_ih")]
        recurrent, bias = w[name.format("weight_hh")].T, w[name.format("bias_hh")]
        state: FloatArray = np.zeros(len(recurrent), dtype=np.float32)
        states = np.empty((len(inputs), len(state)), dtype=np.float32)
        for step, projection in enumerate(projected):
            state = gru_step(projection, state @ recurrent + bias, state)
            states[step] = state
        return states

    def _search(self, encoded: FloatArray) -> list[int]:
        """Beam search over chunks, one a letter."""
        w = self._weights
        split = encoded.shape[1]
        w_in = w["decoder.weight_ih_l0"]
        projected = product(encoded, w_in[:, :split].T) + w["decoder.bias_ih_l0"]
        from_chunk = self._chunk_projection(split)
        recurrent, bias = w["decoder.weight_hh_l0"].T, w["decoder.bias_hh_l0"]
        w_out, b_out = w["output.weight"].T, w["output.bias"]
        state: FloatArray = np.zeros((1, len(recurrent)), dtype=np.float32)
        previous, scores, paths = np.asarray([len(self._chunks)]), np.zeros(1, dtype=np.float32), [[]]  # type: ignore[var-annotated]  # filled below
        for projection in projected:
            state = gru_step(projection + from_chunk[previous], state @ recurrent + bias, state)
            logits = state @ w_out + b_out
            peak = logits.max(axis=1, keepdims=True)
            totals = (
                scores[:, None] + logits - peak - np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
            ).ravel()
            best = np.argpartition(-totals, BEAM)[:BEAM]
            origin, previous = np.divmod(best, len(self._chunks))
            paths = [[*paths[parent], int(chunk)] for parent, chunk in zip(origin, previous, strict=True)]
            state, scores = state[origin], totals[best]
        return paths[int(scores.argmax())]

    @lru_cache(maxsize=1)  # noqa: B019  one model lives as long as the process
    def _chunk_projection(self, split: int) -> FloatArray:
        """The previous chunk's share of the decoder's input, one row a chunk."""
        projection: FloatArray = self._weights["chunks.weight"] @ self._weights["decoder.weight_ih_l0"][:, split:].T
        return projection


def product(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """Multiply [T, m] by [m, n], a few rows at a time, on the calling thread alone."""
    count = max(1, UNDIVIDED_PRODUCT // matrix.size)
    if len(rows) <= count:
        return np.asarray(rows @ matrix)
    return np.concatenate([rows[first : first + count] @ matrix for first in range(0, len(rows), count)])


def gru_step(projected: FloatArray, recurrent: FloatArray, state: FloatArray) -> FloatArray:
    """One step of a GRU; gates in the order reset, update, new (PyTorch's layout)."""
    size = state.shape[-1]
    gates = 1.0 / (1.0 + np.exp(-(projected[..., : 2 * size] + recurrent[..., : 2 * size])))
    reset, update = gates[..., :size], gates[..., size:]
    new = np.tanh(projected[..., 2 * size :] + reset * recurrent[..., 2 * size :])
    result: FloatArray = new + update * (state - new)
    return result


def with_primary_stress(phones: list[str]) -> tuple[str, ...]:
    """Keep the first primary stress only; where there is none, promote the first stressed vowel, else the first."""
    vowels = [index for index, phone in enumerate(phones) if phone[-1].isdigit()]
    primary = [index for index in vowels if phones[index].endswith("1")]
    for index in primary[1:]:
        phones[index] = phones[index][:-1] + "2"
    if vowels and not primary:
        chosen = next((index for index in vowels if phones[index].endswith("2")), vowels[0])
        phones[chosen] = phones[chosen][:-1] + "1"
    return tuple(phones)


@lru_cache(maxsize=1)
def default_model() -> SpellingModel:
    """Open the packaged model once."""
    return SpellingModel((files("emotirt.text") / "data" / MODEL_FILE).read_bytes())


@lru_cache(maxsize=8192)
def read_unlisted(word: str) -> tuple[str, ...]:
    """Read a lower-case word with the packaged model; cached."""
    return default_model().read(word)
