// SVG elements, and numbers of them that change; attributes only, so that no inline style is needed.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element inside another. */
export function draw(parent, name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  set(element, attributes);
  parent.append(element);
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, typeof value === "number" ? value.toFixed(2) : value);
  }
}

/** The hue that stands for an emotion, in degrees. */
export const hueOf = (emotion) => HUES[emotion] ?? (7 * [...emotion].reduce((sum, each) => sum + each.codePointAt(0), 0)) % 360;

const HUES = {
  neutral: 220, happy: 45, excited: 22, surprised: 180, fearful: 270, angry: 2, disgusted: 95, sad: 215, bored: 240,
};
