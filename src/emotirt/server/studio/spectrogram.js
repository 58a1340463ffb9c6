// What an AnalyserNode hears, drawn from left to right, high notes on top.

const COLOURS = ramp([[11, 10, 20], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]);
const TOP_HZ = 8000;
const STEP = 2; // pixels a frame

export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.drawing = canvas.getContext("2d", { willReadFrequently: true });
    this.frame = 0;
  }

  start(analyser) {
    this.stop();
    const levels = new Uint8Array(analyser.frequencyBinCount);
    const shown = Math.min(levels.length, Math.round((TOP_HZ / (analyser.context.sampleRate / 2)) * levels.length));
    const draw = () => {
      analyser.getByteFrequencyData(levels);
      this.#column(levels.subarray(0, shown));
      this.frame = requestAnimationFrame(draw);
    };
    draw();
  }

  stop() {
    cancelAnimationFrame(this.frame);
  }

  #column(levels) {
    const { width, height } = this.canvas;
    this.drawing.drawImage(this.canvas, -STEP, 0);
    const column = this.drawing.createImageData(STEP, height);
    for (let y = 0; y < height; y++) {
      const level = levels[Math.floor(((height - 1 - y) / height) * levels.length)];
      for (let x = 0; x < STEP; x++) column.data.set(COLOURS[level], (y * STEP + x) * 4);
    }
    this.drawing.putImageData(column, width - STEP, 0);
  }
}

function ramp(stops) {
  return Array.from({ length: 256 }, (_, level) => {
    const at = (level / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return [...stops[low].map((from, i) => Math.round(from + (at - low) * (stops[low + 1][i] - from))), 255];
  });
}
