// s16le samples as they arrive, played without gaps through Web Audio, and what of them has been heard.

const LEAD_S = 0.05; // before the first sample sounds, so that its buffer is in place
const BYTES = 2;

export class Player {
  /** Must be made while a click is handled, or the browser keeps it silent. */
  constructor(sampleRateHz) {
    // At the audio's own rate no buffer is resampled alone, which would click where two meet.
    this.context = new AudioContext({ sampleRate: sampleRateHz });
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024, smoothingTimeConstant: 0.2 });
    this.analyser.connect(this.context.destination);
    this.startFrame = 0;
    this.samples = 0;
    this.rest = new Uint8Array(0);
    this.last = null;
    this.pieces = []; // that are not over yet, and where they lie: { frame, sample, count }
  }

  get seconds() {
    return this.samples / this.context.sampleRate;
  }

  /** Seconds of the audio that have been heard; waits with it where the audio came too late. Negative before. */
  get heardS() {
    const rate = this.context.sampleRate;
    const now = (this.context.currentTime - (this.context.outputLatency || 0)) * rate;
    while (this.pieces.length > 1 && this.pieces[1].frame <= now) this.pieces.shift();
    if (!this.pieces.length) return -1;
    const { frame, sample, count } = this.pieces[0];
    return (sample + Math.min(now - frame, count)) / rate;
  }

  resume() {
    return this.context.resume();
  }

  /** Take bytes of any number; an odd one waits for its other half. */
  write(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    const count = Math.floor(all.length / BYTES);
    this.rest = all.slice(count * BYTES);
    if (count) this.#play(new DataView(all.buffer), count);
  }

  /** Resolves when everything written has been heard. */
  async finish() {
    if (this.last) await this.last;
    const underwayS = this.context.outputLatency || this.context.baseLatency || 0; // rendered, not yet sounding
    await new Promise((resolve) => setTimeout(resolve, 1000 * underwayS));
  }

  close() {
    if (this.context.state !== "closed") this.context.close();
  }

  #play(view, count) {
    const rate = this.context.sampleRate;
    const buffer = this.context.createBuffer(1, count, rate);
    const channel = buffer.getChannelData(0);
    for (let i = 0; i < count; i++) channel[i] = view.getInt16(i * BYTES, true) / 32768;
    const earliest = Math.ceil((this.context.currentTime + (this.samples ? 0 : LEAD_S)) * rate);
    this.startFrame = Math.max(this.startFrame, earliest);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.analyser);
    source.start(this.startFrame / rate);
    this.last = new Promise((resolve) => source.addEventListener("ended", resolve));
    this.pieces.push({ frame: this.startFrame, sample: this.samples, count });
    this.startFrame += count;
    this.samples += count;
  }
}
