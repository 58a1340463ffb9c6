// Live numbers of the server, from /readyz and /metrics.

import { ask, Problem } from "./api.js";
import { words } from "./words.js";

const EVERY_MS = 2000;

export class Stats {
  constructor(list) {
    this.list = list;
    this.found = null;
  }

  /** Ask now and then again and again, while the page is seen. */
  async watch() {
    for (;;) {
      if (!document.hidden) await this.refresh();
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  async refresh() {
    // A refused key is refused again: only asking whether the server is there goes on.
    const needsKey = this.found?.needsKey ?? false;
    this.found = { state: "away", needsKey };
    try {
      const ready = await (await fetch("readyz", { cache: "no-store" })).json();
      this.found = { ...ready, state: ready.status, needsKey };
      if (!needsKey) this.found.samples = samples(await (await ask("metrics", { cache: "no-store" })).text());
    } catch (error) {
      if (error instanceof Problem && error.code === "invalid_api_key") this.found.needsKey = true;
    }
    this.show();
  }

  /** Try the numbers again: there is another key. */
  forgetRefusal() {
    if (this.found) this.found.needsKey = false;
    this.refresh();
  }

  show() {
    if (!this.found) return;
    this.list.replaceChildren(...rows(this.found).map(([name, value]) => row(words()[name], value)));
  }
}

function rows({ state, bundle, backend, samples: numbers, needsKey }) {
  const shown = [["status", words()[state] ?? state]];
  if (bundle) shown.push(["bundle", bundle], ["backend", backend]);
  if (needsKey) shown.push(["running", words().needs_key]);
  if (!numbers) return shown;
  const spoken = numbers.emotirt_first_audio_seconds_count ?? 0;
  const mean = spoken ? `${Math.round((1000 * numbers.emotirt_first_audio_seconds_sum) / spoken)} ms` : "–";
  const count = (name) => String(numbers[name] ?? 0);
  return [
    ...shown,
    ["running", count("emotirt_running")],
    ["ended_requests", count("emotirt_requests_ended_total")],
    ["refused", count("emotirt_refused_total")],
    ["mean_first_audio", mean],
    ["audio_made", `${(numbers.emotirt_audio_seconds_total ?? 0).toFixed(1)} s`],
  ];
}

function row(name, value) {
  const [box, term, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
  term.textContent = name;
  text.textContent = value;
  box.append(term, text);
  return box;
}

/** Values by name from Prometheus' text format, summed over labels. */
function samples(text) {
  const found = {};
  for (const line of text.split("\n")) {
    const match = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line);
    if (match) found[match[1]] = (found[match[1]] ?? 0) + Number(match[2]);
  }
  return found;
}
