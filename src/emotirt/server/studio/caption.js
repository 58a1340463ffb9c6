// The words of what is being said, the one that sounds now marked.

export class Caption {
  constructor(element) {
    this.element = element;
    this.frame = 0;
    this.forget();
  }

  /** Take an utterance: { start_s, end_s, words: [{ word, start_s, end_s }] }. */
  add(utterance) {
    this.utterances.push(utterance);
  }

  follow(clock) {
    const show = () => {
      this.#show(clock());
      this.frame = requestAnimationFrame(show);
    };
    show();
  }

  forget() {
    cancelAnimationFrame(this.frame);
    this.utterances = [];
    this.shown = null;
    this.element.replaceChildren();
  }

  #show(second) {
    while (this.utterances.length > 1 && this.utterances[1].start_s <= second) this.utterances.shift();
    const utterance = this.utterances[0];
    if (!utterance || second < utterance.start_s) return;
    if (this.shown !== utterance) {
      this.shown = utterance;
      this.element.replaceChildren(...utterance.words.flatMap(({ word }, i) => {
        const span = document.createElement("span");
        span.textContent = word;
        return i && !isHan(word) ? [" ", span] : [span];
      }));
    }
    const spans = this.element.querySelectorAll("span");
    utterance.words.forEach(({ start_s, end_s }, i) => {
      spans[i].classList.toggle("now", start_s <= second && second < end_s);
    });
  }
}

const isHan = (word) => /^\p{Script=Han}/u.test(word);
