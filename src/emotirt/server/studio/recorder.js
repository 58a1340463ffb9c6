// The microphone as a WAV file of one channel, and how long the browser finds a file to be.

import { Problem } from "./api.js";

const RATE_HZ = 24000;
const WANTED = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
const HEADER_BYTES = 44;

export class Recorder {
  constructor() {
    this.stream = this.recorder = null;
  }

  /** Begin; `onLevel` is told how loud it is, 0 to 1, and for how many seconds it has been recording. */
  async start(onLevel) {
    if (!navigator.mediaDevices?.getUserMedia) throw new Problem("insecure");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    } catch (error) {
      throw new Problem("no_microphone", error.message);
    }
    this.recorder = new MediaRecorder(this.stream);
    const parts = [];
    this.recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    this.ended = new Promise((resolve) => {
      this.recorder.addEventListener("stop", () => resolve(new Blob(parts, { type: this.recorder.mimeType })));
    });
    this.recorder.start();
    this.#listen(onLevel);
  }

  /** End, and give the WAV file. */
  async stop() {
    this.recorder.stop();
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
    clearInterval(this.timer);
    return wavOf(await this.ended);
  }

  #listen(onLevel) {
    const began = performance.now();
    this.context = new AudioContext();
    const analyser = new AnalyserNode(this.context, { fftSize: 2048 });
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      onLevel(samples.reduce((most, each) => Math.max(most, Math.abs(each)), 0), (performance.now() - began) / 1000);
    }, 100);
  }
}

/** Null for what this browser cannot decode; the server may know it all the same. */
export async function secondsOf(file) {
  return (await decoded(file).catch(() => null))?.duration ?? null;
}

const decoded = async (blob) =>
  new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await blob.arrayBuffer());

async function wavOf(blob) {
  const audio = await decoded(blob).catch((error) => {
    throw new Problem("invalid_audio", error.message);
  });
  const mixed = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((value, i) => (mixed[i] += value / audio.numberOfChannels));
  }
  return { file: new Blob([header(mixed.length), s16(mixed)], { type: "audio/wav" }), seconds: audio.duration };
}

function s16(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((value, i) => view.setInt16(2 * i, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true));
  return view.buffer;
}

function header(samples) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const word = (at, text) => [...text].forEach((char, i) => view.setUint8(at + i, char.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + 2 * samples, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE_HZ, true);
  view.setUint32(28, 2 * RATE_HZ, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples, true);
  return view.buffer;
}
