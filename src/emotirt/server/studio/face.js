// A face whose mouth goes through the visemes as they are heard, and whose look is that of the emotion.

import { draw, hueOf, set } from "./drawing.js";

// Half the mouth's width, its opening, how much of the upper teeth and of the tongue shows, by viseme.
const SHAPES = {
  sil: [34, 0, 0, 0], PP: [29, 0, 0, 0], FF: [31, 6, 1, 0], TH: [33, 11, 0.7, 1], DD: [34, 11, 0.8, 0.7],
  kk: [34, 13, 0.5, 0.2], CH: [23, 12, 0.9, 0.2], SS: [38, 7, 1, 0.2], nn: [34, 11, 0.7, 0.8], RR: [25, 12, 0.3, 0.4],
  aa: [37, 34, 0.6, 0.3], E: [41, 21, 0.7, 0.3], ih: [43, 12, 0.8, 0.3], oh: [25, 27, 0.2, 0.2], ou: [16, 15, 0, 0.1],
};
// How far the corners of the mouth are lifted, the brows raised and tilted, the eyes open.
const LOOKS = {
  neutral: [2, 0, 0, 1], happy: [11, 3, 0, 0.8], excited: [12, 8, 0, 1.2], surprised: [0, 13, 0, 1.35],
  fearful: [-6, 9, 8, 1.25], angry: [-7, -7, -11, 0.85], disgusted: [-8, -4, -6, 0.7], sad: [-10, 1, 10, 0.75],
  bored: [-4, -2, 2, 0.55],
};
const AHEAD_S = 0.04; // the mouth moves before the sound, and this is how late smoothing makes it
const SOFTNESS_S = 0.04;
const X = 120;
const Y = 138;

export class Face {
  constructor(svg) {
    this.svg = svg;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.#build();
    this.look = this.wantedLook = LOOKS.neutral;
    this.shape = SHAPES.sil;
    this.clock = null;
    this.forget();
    this.#animate();
  }

  /** Take the visemes of an utterance: { viseme, start_s, end_s }, later than those before. */
  add(visemes) {
    this.visemes.push(...visemes);
  }

  /** Follow a clock: a function that gives the seconds heard. */
  follow(clock) {
    this.clock = clock;
  }

  forget() {
    this.clock = null;
    this.visemes = [];
    this.next = 0;
  }

  feel(emotion, intensity) {
    const look = LOOKS[emotion] ?? LOOKS.neutral;
    this.wantedLook = look.map((value, i) => LOOKS.neutral[i] + intensity * (value - LOOKS.neutral[i]));
    this.svg.style.setProperty("--hue", hueOf(emotion));
    this.svg.style.setProperty("--strength", emotion === "neutral" ? 0 : Math.min(1, intensity));
  }

  #viseme(second) {
    while (this.next < this.visemes.length && this.visemes[this.next].end_s <= second) this.next++;
    const found = this.visemes[this.next];
    return found && found.start_s <= second ? found.viseme : "sil";
  }

  #animate() {
    let before = performance.now();
    let blinkAt = before + 3000;
    const frame = (now) => {
      const passed = Math.min(0.1, (now - before) / 1000);
      before = now;
      const name = this.clock ? this.#viseme(this.clock() + AHEAD_S) : "sil";
      if (this.svg.dataset.viseme !== name) this.svg.dataset.viseme = name;
      const near = 1 - Math.exp(-passed / SOFTNESS_S);
      const slow = 1 - Math.exp(-passed / 0.15);
      this.shape = this.shape.map((value, i) => value + near * (SHAPES[name][i] - value));
      this.look = this.look.map((value, i) => value + slow * (this.wantedLook[i] - value));
      if (now > blinkAt + 160) blinkAt = now + 2500 + 3500 * Math.random();
      this.#show(now > blinkAt && !this.still.matches);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #build() {
    draw(this.svg, "circle", { cx: X, cy: 100, r: 96, class: "head" });
    this.brows = [-1, 1].map(() => draw(this.svg, "path", { class: "brow" }));
    this.eyes = [-1, 1].map((side) => draw(this.svg, "ellipse", { cx: X + 36 * side, cy: 84, rx: 9, class: "eye" }));
    const clip = draw(draw(this.svg, "defs"), "clipPath", { id: "inside" });
    this.hole = draw(clip, "path");
    this.inside = draw(this.svg, "path", { class: "inside" });
    const within = draw(this.svg, "g", { "clip-path": "url(#inside)" });
    this.tongue = draw(within, "ellipse", { cx: X, class: "tongue" });
    this.teeth = draw(within, "rect", { rx: 5, class: "teeth" });
    this.lips = draw(this.svg, "path", { class: "lips" });
  }

  #show(isBlinking) {
    const [width, open, teeth, tongue] = this.shape;
    const [lift, raise, tilt, eyes] = this.look;
    const corner = Y - lift * 0.8;
    const top = Y - open * 0.85 + lift * 0.55;
    const bottom = Y + open * 1.15 + lift * 0.9;
    const path = `M${X - width} ${corner.toFixed(2)}Q${X} ${top.toFixed(2)} ${X + width} ${corner.toFixed(2)}Q${X} ${bottom.toFixed(2)} ${X - width} ${corner.toFixed(2)}Z`;
    for (const each of [this.hole, this.inside, this.lips]) each.setAttribute("d", path);
    const ceiling = (corner + top) / 2;
    const floor = (corner + bottom) / 2;
    const height = floor - ceiling;
    const hidden = 4 + height * 0.36;
    set(this.teeth, { x: X - width * 0.72, y: ceiling - 4 - (1 - teeth) * hidden, width: width * 1.44, height: hidden });
    set(this.tongue, { cy: floor + 6 - tongue * height * 0.5, rx: width * 0.62, ry: 5 + height * 0.26 });
    for (const [i, side] of [-1, 1].entries()) {
      const x = X + 36 * side;
      const y = 62 - raise;
      this.brows[i].setAttribute("d", `M${x - 16} ${y + side * tilt * -0.4}Q${x} ${y - 6} ${x + 16} ${y + side * tilt * 0.4}`);
      set(this.eyes[i], { ry: isBlinking ? 1 : 11 * eyes });
    }
  }
}
