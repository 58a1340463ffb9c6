// A wheel of emotions: the direction chooses one, the distance from the middle its intensity. Arrow keys do the same.

import { draw, hueOf, set } from "./drawing.js";

const MOST = 1.5;
const CENTRE = 17; // within it everything is neutral
const RADIUS = 84;
const LABELS = 92;
const STEP = 0.05;
// Neighbours sound alike; what is not listed comes after.
const ORDER = ["happy", "excited", "surprised", "fearful", "angry", "disgusted", "bored", "sad"];

export class Pad {
  /** `onchange` is told the emotion and its intensity. */
  constructor(svg, neutral, onchange) {
    this.svg = svg;
    this.neutral = neutral;
    this.onchange = onchange;
    this.names = [];
    this.emotion = neutral;
    this.intensity = 1;
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    svg.addEventListener("pointermove", (event) => {
      if (svg.hasPointerCapture(event.pointerId)) this.#point(event);
    });
    svg.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Offer emotions: { name, label }; the neutral one lies in the middle. */
  offer(emotions) {
    const around = emotions.filter(({ name }) => name !== this.neutral);
    around.sort((a, b) => rank(a.name) - rank(b.name));
    this.names = around.map(({ name }) => name);
    this.labels = new Map(emotions.map(({ name, label }) => [name, label]));
    this.svg.replaceChildren();
    this.sectors = around.map(({ name, label }, i) => this.#sector(name, label, i));
    for (const level of [0.5, 1]) draw(this.svg, "circle", { r: reach(level), class: "ring" });
    draw(this.svg, "circle", { r: CENTRE, class: "centre" });
    this.knob = draw(this.svg, "circle", { r: 8, class: "knob" });
    this.show();
  }

  choose(emotion, intensity) {
    this.emotion = emotion;
    this.intensity = intensity;
    this.show();
  }

  show() {
    if (!this.knob) return;
    const isNeutral = this.emotion === this.neutral;
    const angle = this.#angle(Math.max(0, this.names.indexOf(this.emotion)));
    const distance = isNeutral ? 0 : reach(this.intensity);
    set(this.knob, { cx: distance * Math.cos(angle), cy: distance * Math.sin(angle) });
    for (const { name, parts } of this.sectors) {
      for (const part of parts) part.classList.toggle("chosen", name === this.emotion);
    }
    this.svg.style.setProperty("--hue", hueOf(this.emotion));
    const said = this.labels.get(this.emotion) ?? this.emotion;
    const intensity = isNeutral ? 0 : this.intensity;
    set(this.svg, { "aria-valuenow": intensity, "aria-valuetext": isNeutral ? said : `${said}, ${intensity.toFixed(2)}` });
  }

  #angle(index) {
    return (2 * Math.PI * index) / Math.max(1, this.names.length) - Math.PI / 2;
  }

  #sector(name, label, index) {
    const half = Math.PI / this.names.length;
    const at = (angle) => `${(RADIUS * Math.cos(angle)).toFixed(2)} ${(RADIUS * Math.sin(angle)).toFixed(2)}`;
    const middle = this.#angle(index);
    const shape = draw(this.svg, "path", { d: `M0 0L${at(middle - half)}A${RADIUS} ${RADIUS} 0 0 1 ${at(middle + half)}Z`, class: "sector" });
    shape.style.setProperty("--hue", hueOf(name));
    const [x, y] = [Math.cos(middle), Math.sin(middle)];
    const anchor = Math.abs(x) < 0.2 ? "middle" : x > 0 ? "start" : "end";
    const text = draw(this.svg, "text", { x: LABELS * x, y: LABELS * y + 4, "text-anchor": anchor, class: "name" });
    text.textContent = label;
    return { name, parts: [shape, text] };
  }

  #point(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const distance = Math.hypot(place.x, place.y);
    if (distance < CENTRE || !this.names.length) return this.#tell(this.neutral, this.intensity);
    const turn = (Math.atan2(place.y, place.x) + Math.PI / 2) / (2 * Math.PI);
    const index = Math.round((turn + 1) * this.names.length) % this.names.length;
    this.#tell(this.names[index], (MOST * (distance - CENTRE)) / (RADIUS - CENTRE));
  }

  #press(event) {
    const index = this.names.indexOf(this.emotion);
    const to = (i) => this.names[(i + this.names.length) % this.names.length];
    const isNeutral = index < 0;
    const actions = {
      ArrowRight: () => this.#tell(to(index + 1), this.intensity),
      ArrowLeft: () => this.#tell(to(isNeutral ? -1 : index - 1), this.intensity),
      ArrowUp: () => this.#tell(isNeutral ? to(0) : this.emotion, isNeutral ? STEP : this.intensity + STEP),
      ArrowDown: () => !isNeutral && this.#tell(this.emotion, this.intensity - STEP),
      Home: () => this.#tell(this.neutral, this.intensity),
      End: () => this.#tell(isNeutral ? to(0) : this.emotion, MOST),
    };
    const action = this.names.length ? actions[event.key] : null;
    if (!action) return;
    event.preventDefault();
    action();
  }

  #tell(emotion, intensity) {
    const rounded = Math.round(intensity / STEP) * STEP;
    this.choose(emotion, Math.min(MOST, Math.max(0, rounded)));
    this.onchange(this.emotion, this.intensity);
  }
}

const reach = (intensity) => CENTRE + ((RADIUS - CENTRE) * intensity) / MOST;

const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
