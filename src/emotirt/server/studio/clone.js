// Making a voice from a recording, and forgetting it again.

import { deleteVoice, makeVoice, Problem } from "./api.js";
import { Recorder, secondsOf } from "./recorder.js";
import { words } from "./words.js";

const LONGEST_S = 29; // the server takes 30, and stopping takes a moment
const LARGEST_BYTES = 10 * 1024 ** 2;
const at = (id) => document.getElementById(id);

export class Cloning {
  /** `onvoice` is told the id of a voice that was made, or null for one that is no more. */
  constructor(onvoice) {
    this.onvoice = onvoice;
    this.recorder = null;
    this.sample = null; // { file, seconds }, seconds null for what the browser cannot decode, or not yet
    this.problem = this.made = null;
    at("record").addEventListener("click", () => this.#try(() => this.#record()));
    at("listen").addEventListener("click", () => this.#listen());
    at("clone-file").addEventListener("change", () => this.#try(() => this.#upload()));
    at("clone-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(() => this.#create());
    });
    this.show();
  }

  /** Forget a voice. */
  async remove(id) {
    await deleteVoice(id);
    this.made = null;
    this.show();
    this.onvoice(null);
  }

  show() {
    const said = words();
    at("record").textContent = this.recorder ? said.stopRecording : said.record;
    at("record").setAttribute("aria-pressed", String(Boolean(this.recorder)));
    at("clone-read").textContent = said.readThis;
    at("level").setAttribute("aria-label", said.level);
    at("level").hidden = !this.recorder;
    at("listen").disabled = !this.sample?.seconds;
    at("sample").textContent = this.sample ? `${said.sample} ${this.sample.seconds?.toFixed(1) ?? "?"} s` : "";
    at("clone-problem").hidden = !this.problem;
    at("clone-problem").textContent = this.problem ? told(this.problem) : "";
    at("clone-done").hidden = !this.made;
    at("clone-done").textContent = this.made ? [`${said.made} ${this.made.name}`, ...this.made.warnings].join(" · ") : "";
  }

  async #try(act) {
    this.problem = this.made = null;
    this.show();
    try {
      await act();
    } catch (error) {
      this.problem = error instanceof Problem ? error : new Problem("other", String(error));
    }
    this.show();
  }

  async #record() {
    if (this.recorder) return this.#stop();
    const recorder = new Recorder();
    at("record").disabled = true; // while the user is asked
    try {
      await recorder.start((level, seconds) => {
        at("level").value = level;
        at("sample").textContent = `${seconds.toFixed(1)} s`;
        if (seconds >= LONGEST_S && this.recorder) this.#try(() => this.#stop());
      });
    } finally {
      at("record").disabled = false;
    }
    this.recorder = recorder;
    this.sample = null;
    at("clone-file").value = "";
  }

  async #stop() {
    const recorder = this.recorder;
    this.recorder = null;
    this.sample = await recorder.stop();
  }

  async #upload() {
    const [file] = at("clone-file").files;
    this.sample = null;
    if (!file) return;
    if (file.size > LARGEST_BYTES) throw new Problem("sample_too_large");
    const sample = { file, seconds: null }; // it may be sent while its length is not known yet
    this.sample = sample;
    sample.seconds = await secondsOf(file);
  }

  async #listen() {
    const context = new AudioContext();
    const buffer = await context.decodeAudioData(await this.sample.file.arrayBuffer());
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.addEventListener("ended", () => context.close());
    source.start();
  }

  async #create() {
    const name = at("clone-name").value.trim();
    if (!name) throw new Problem("no_name");
    if (!this.sample) throw new Problem("no_sample");
    if (!at("consent").checked) throw new Problem("consent_required");
    at("create").disabled = true;
    try {
      this.made = await makeVoice(name, this.sample.file);
    } finally {
      at("create").disabled = false;
    }
    this.sample = null;
    at("clone-form").reset();
    await this.onvoice(this.made.id);
  }
}

/** A problem in the page's language, with what the server said. */
export function told({ code, detail }) {
  const { problems } = words();
  const said = problems[code] ?? problems.other;
  return detail ? `${said} (${detail})` : said;
}
