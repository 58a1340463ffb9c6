"""The likeliest running words for a recognizer's scores: a dictionary takes out much of what it misheard.

Viterbi over a tree of all pronunciations, as recognizers have searched since Ney et al. 1992 ("Improvements in beam
search for 10000-word continuous speech recognition"), here with CTC's blank after every phone and a unigram of words.
Beside the tree runs a loop of phones for words that no list holds. Nothing is pruned; steps that are surely blank are
cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotirt.training.recognizer_tokens import TOKEN_IDS, TOKENS
from emotirt.training.word_model import WordModel

IMPOSSIBLE = np.float32(-1e9)
SURELY_BLANK = float(np.log(0.98))
"""A blank so likely starts no phone."""


@dataclass(frozen=True, slots=True)
class SearchWeights:
    """What words count beside what is heard.

    Attributes:
        language: factor of the words' log probabilities.
        word: log score that each word gains.
    """

    language: float = 0.5
    word: float = 0.0


class Tree:
    """Pronunciations that share beginnings; node 0 is the root, every other node has a phone.

    Attributes:
        parents: int64 [nodes].
        phones: recognizer ids int64 [nodes].
        ends: nodes at which a word ends, int64 [words].
        words: unstressed tokens of those words.
    """

    def __init__(self, words: Sequence[tuple[str, ...]]) -> None:
        places: dict[tuple[str, ...], int] = {(): 0}
        parents, phones = [0], [0]
        for word in words:
            for length in range(1, len(word) + 1):
                if word[:length] not in places:
                    places[word[:length]] = len(parents)
                    parents.append(places[word[: length - 1]])
                    phones.append(TOKEN_IDS[word[length - 1]])
        self.parents, self.phones = np.array(parents), np.array(phones)
        self.ends, self.words = np.array([places[word] for word in words]), tuple(words)


class WordSearch:
    """Searches with one word model."""

    def __init__(self, model: WordModel, weights: SearchWeights) -> None:
        likelihoods = model.likelihoods
        tree = Tree(sorted(likelihoods))
        self.tree = tree
        gains = [weights.language * likelihoods[word] + weights.word for word in tree.words]
        self._gains = np.array(gains, dtype=np.float32)
        self._twice = tree.phones == tree.phones[tree.parents]
        self._first = np.flatnonzero(tree.parents == 0)[1:]
        names = [token for token in TOKEN_IDS if token.isalpha() and token.isupper()]
        self._loop_phones = np.array([TOKEN_IDS[token] for token in names])
        steps = weights.language * model.strange_steps(names)
        self._begin, self._onward = steps[0, 1:], steps[1:, 1:]
        self._end_gains = np.concatenate((self._gains, steps[1:, 0] + np.float32(weights.word)))
        self._last_phones = np.concatenate((tree.phones[tree.ends], self._loop_phones))

    def search(self, log_probs: NDArray[np.float32]) -> list[tuple[str, ...]]:
        """Return the likeliest words, as unstressed tokens.

        Args:
            log_probs: float32 [steps, tokens], id 0 the blank.
        """
        run = _Run(self)
        for row in log_probs:
            run.step(row)
        return run.words()

    def spell(self, word: int) -> tuple[tuple[str, ...], bool]:
        """Return the tokens of a record, and whether they begin a word."""
        if word >= 0:
            return self.tree.words[word], True
        phone, begins = divmod(-word - 1, 2)
        return (TOKENS[self._loop_phones[phone]],), bool(begins)


class _Run:
    """The search over one clip: best scores of every place, and the records of what came before."""

    def __init__(self, owner: WordSearch) -> None:
        self.owner = owner
        nodes, loop = len(owner.tree.parents), len(owner._loop_phones)
        self.on_phone, self.on_blank = np.full(nodes, IMPOSSIBLE), np.full(nodes, IMPOSSIBLE)
        self.phone_from, self.blank_from = np.zeros(nodes, dtype=np.int32), np.zeros(nodes, dtype=np.int32)
        self.loop_phone, self.loop_blank = np.full(loop, IMPOSSIBLE), np.full(loop, IMPOSSIBLE)
        self.loop_phone_is, self.loop_blank_is = np.zeros(loop, dtype=np.int32), np.zeros(loop, dtype=np.int32)
        self.records: list[tuple[int, int]] = [(0, -1)]
        self.entry = np.zeros(len(TOKENS), dtype=np.float32)
        self.entry_from = np.zeros(len(TOKENS), dtype=np.int32)
        self.best = (np.float32(0.0), 0)
        self.opening = np.float32(0.0)

    def step(self, row: NDArray[np.float32]) -> None:
        """Go on by one output of the recognizer."""
        stays_blank = self.on_phone > self.on_blank
        blank = np.maximum(self.on_phone, self.on_blank) + row[0]
        blank_from = np.where(stays_blank, self.phone_from, self.blank_from)
        loop_stays = self.loop_phone > self.loop_blank
        loop_blank = np.maximum(self.loop_phone, self.loop_blank) + row[0]
        loop_blank_is = np.where(loop_stays, self.loop_phone_is, self.loop_blank_is)
        if row[0] > SURELY_BLANK:
            self.on_phone.fill(IMPOSSIBLE)
            self.loop_phone.fill(IMPOSSIBLE)
        else:
            self._speak(row)
            self._spell(row)
        self.on_blank, self.blank_from = blank, blank_from
        self.loop_blank, self.loop_blank_is = loop_blank, loop_blank_is
        self._end_words(row)

    def _speak(self, row: NDArray[np.float32]) -> None:
        """Enter the phones of the tree."""
        tree, owner = self.owner.tree, self.owner
        before, blank_before = self.on_phone[tree.parents], self.on_blank[tree.parents]
        before[owner._twice] = IMPOSSIBLE
        arrive = np.maximum(before, blank_before)
        arrive_from = np.where(before > blank_before, self.phone_from[tree.parents], self.blank_from[tree.parents])
        first = owner._first
        arrive[first] = self.entry[tree.phones[first]]
        arrive_from[first] = self.entry_from[tree.phones[first]]
        stays = self.on_phone >= arrive
        self.phone_from = np.where(stays, self.phone_from, arrive_from)
        self.on_phone = np.maximum(self.on_phone, arrive) + row[tree.phones]
        self.on_phone[0] = IMPOSSIBLE

    def _spell(self, row: NDArray[np.float32]) -> None:
        """Enter the phones of the loop; each has a record of its own."""
        owner = self.owner
        phones, every = owner._loop_phones, np.arange(len(owner._loop_phones))
        onward = self.loop_phone[:, None] + owner._onward
        np.fill_diagonal(onward, IMPOSSIBLE)
        after_blank = self.loop_blank[:, None] + owner._onward
        choices = np.stack((onward.max(axis=0), after_blank.max(axis=0), self.entry[phones] + owner._begin))
        sources = np.stack(
            (
                self.loop_phone_is[onward.argmax(axis=0)],
                self.loop_blank_is[after_blank.argmax(axis=0)],
                self.entry_from[phones],
            )
        )
        choice = choices.argmax(axis=0)
        arrive = choices[choice, every]
        new = np.flatnonzero(arrive > self.loop_phone)
        for index in new:
            begins = int(choice[index] == 2)
            self.loop_phone_is[index] = len(self.records)
            self.records.append((-1 - (2 * int(index) + begins), int(sources[choice[index], index])))
        self.loop_phone = np.maximum(self.loop_phone, arrive) + row[phones]

    def _end_words(self, row: NDArray[np.float32]) -> None:
        """End words here, and say what a next word may start from, phone by phone.

        A word that ends on a phone and a next one that begins with the same phone need a blank between them.
        """
        owner, ends = self.owner, self.owner.tree.ends
        after_blank = np.concatenate((self.on_blank[ends], self.loop_blank)) + owner._end_gains
        after_phone = np.concatenate((self.on_phone[ends], self.loop_phone)) + owner._end_gains
        calm, best = int(after_blank.argmax()), int(after_phone.argmax())
        phone = owner._last_phones[best]
        others = np.where(owner._last_phones == phone, IMPOSSIBLE, after_phone)
        second = int(others.argmax())
        self.opening += row[0]
        calmly = max((self.opening, 0), (after_blank[calm], self._record(calm, self.blank_from, self.loop_blank_is)))
        first = (after_phone[best], self._record(best, self.phone_from, self.loop_phone_is))
        self.best = max(calmly, first)
        self.entry[:], self.entry_from[:] = self.best
        other = (others[second], self._record(second, self.phone_from, self.loop_phone_is))
        self.entry[phone], self.entry_from[phone] = max(calmly, other)

    def _record(self, end: int, tree_from: NDArray[np.int32], loop_is: NDArray[np.int32]) -> int:
        """Return the record of a word that ends; a word of the loop has it already."""
        count = len(self.owner.tree.ends)
        if end >= count:
            return int(loop_is[end - count])
        self.records.append((end, int(tree_from[self.owner.tree.ends[end]])))
        return len(self.records) - 1

    def words(self) -> list[tuple[str, ...]]:
        """Follow the records back from the best end."""
        words: list[tuple[str, ...]] = []
        tail: tuple[str, ...] = ()
        place = self.best[1]
        while place > 0:
            word, place = self.records[place]
            tokens, begins = self.owner.spell(word)
            tail = (*tokens, *tail)
            if begins:
                words.append(tail)
                tail = ()
        return words[::-1]
