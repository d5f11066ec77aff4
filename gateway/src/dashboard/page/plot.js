// Plots of the last two minutes: time to the right, now at the right edge.

import { mark, shape } from "./elements.js";
import { WINDOW_MS } from "./rates.js";

const WIDTH = 600;
const HEIGHT = 100;

/** The least round number that is not below `value`. */
export function ceiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

/** A picture that layers are drawn into; as wide and high as its place. */
export function canvas(label) {
  return shape("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    class: "plot",
    role: "img",
    "aria-label": label,
  });
}

/** Where a point in time is, from the left. */
function across(at, now) {
  return WIDTH * (1 - (now - at) / WINDOW_MS);
}

function down(value, top) {
  return HEIGHT - (HEIGHT - 2) * Math.min(1, value / top);
}

const point = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

/**
 * Draws areas on top of each other. `layers` are `{name, className, values}`, lowest first, with a value for each of
 * `times`; `marks` are points in time. Returns the value at the upper edge.
 */
export function draw(svg, times, layers, marks = []) {
  const now = times.at(-1) ?? 0;
  const sums = times.map((_, index) => layers.reduce((sum, layer) => sum + layer.values[index], 0));
  const top = ceiling(Math.max(0, ...sums));
  const lower = times.map(() => 0);
  const [areas, edges] = [[], []];
  for (const { className, values } of layers) {
    const upper = lower.map((value, index) => value + values[index]);
    const edge = times.map((at, index) => point(across(at, now), down(upper[index], top)));
    const base = times.map((at, index) => point(across(at, now), down(lower[index], top))).reverse();
    if (times.length > 1) {
      areas.push(shape("path", { class: `area ${className}`, d: `M${edge.join("L")}L${base.join("L")}Z` }));
      edges.push(shape("path", { class: `edge ${className}`, d: `M${edge.join("L")}` }));
    }
    upper.forEach((value, index) => (lower[index] = value));
  }
  const moments = marks.map((at) => shape("path", { class: "moment", d: `M${across(at, now).toFixed(1)} 0V${HEIGHT}` }));
  // Where a layer is empty its edge is that of the one below, which is to be seen.
  svg.replaceChildren(...areas, ...edges.reverse(), ...moments);
  mark(svg, "data-top", String(top));
  return top;
}
