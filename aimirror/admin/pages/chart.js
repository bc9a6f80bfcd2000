// A chart over time: axes, and what it is at a moment, by pointer or by arrow keys.

import { bytes, make, number } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 170, LEFT = 58, RIGHT = 8, TOP = 8, BOTTOM = 24;
export const FORMS = {
  count: (value) => number(Math.round(value)),
  bytes,
  percent: (value) => `${Math.round(value)} %`,
};

function draw(tag, attributes, text) {
  const drawn = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) drawn.setAttribute(name, value);
  if (text !== undefined) drawn.textContent = text;
  return drawn;
}
// The end of an axis: 1, 2 or 4 times a power of ten, so that its half is as round.
function rounded(value, form) {
  if (form === "percent") return 100;
  const least = Math.max(value, 2);
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 4, 10].find((each) => each * power >= least);
}
function timeOf(at, length) {
  return new Date(1000 * at).toLocaleTimeString("en-GB",
    length > 7200 ? { hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export class Chart {
  // `parts` are [name, class, value of a point]; they stand on each other, or are lines.
  constructor(place, name, form, parts, { line = false } = {}) {
    Object.assign(this, { name, form, parts, line, points: [], at: null });
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", tabindex: 0 });
    this.tip = make("p", { class: "tip", "aria-live": "polite" });
    place.append(this.svg, this.tip);
    this.svg.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect();
      this.point(this.nearest(((event.clientX - box.left) / box.width) * WIDTH));
    });
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }
  key(event) {
    const last = this.points.length - 1;
    const to = { ArrowLeft: (this.at ?? last + 1) - 1, ArrowRight: (this.at ?? last - 1) + 1,
      Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.point(to === null ? null : Math.max(0, Math.min(last, to)));
  }
  nearest(x) {
    let best = null;
    this.points.forEach((point, index) => {
      if (best === null || Math.abs(this.x(point[0]) - x) < Math.abs(this.x(this.points[best][0]) - x)) best = index;
    });
    return best;
  }
  x(at) { return LEFT + (WIDTH - LEFT - RIGHT) * (1 - (this.end - at) / this.length); }
  y(value) { return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / this.top); }
  say(value) { return value == null ? "–" : FORMS[this.form](value); }

  // `series` has step, length and points, the first column of a point being its end.
  show(series, now) {
    const kept = this.at === null ? null : this.points[this.at]?.[0];
    this.step = series.step;
    this.length = series.step * series.length;
    this.end = now;
    this.points = series.points.filter((point) => now - point[0] < this.length);
    const height = (point) => this.parts.reduce((sum, [, , value]) => sum + (value(point) ?? 0), 0);
    this.top = rounded(Math.max(0, ...this.points.map(height)), this.form);
    this.svg.replaceChildren(...this.axes(), ...(this.line ? this.lines() : this.bars()));
    this.cursor = draw("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.svg.append(this.cursor);
    const sums = this.parts.map(([name, , value]) => {
      const values = this.points.map(value).filter((each) => each != null);
      const sum = values.reduce((total, each) => total + each, 0);
      return `${name} ${this.say(this.line ? (values.length ? sum / values.length : null) : sum)}`;
    });
    this.svg.setAttribute("aria-label", `${this.name}: ${sums.join(", ")}. Arrow keys tell moments.`);
    const index = kept == null ? -1 : this.points.findIndex((point) => point[0] === kept);
    if (this.at !== null) this.point(index < 0 ? null : index);
  }
  axes() {
    const drawn = [];
    for (const part of [0, 0.5, 1]) {
      const y = this.y(part * this.top);
      drawn.push(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
      drawn.push(draw("text", { class: "tick", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, this.say(part * this.top)));
    }
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const at = this.end - this.length * (1 - part);
      const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
      drawn.push(draw("text", { class: "tick", x: this.x(at), y: HEIGHT - 6, "text-anchor": anchor }, timeOf(at, 86400)));
    }
    return drawn;
  }
  bars() {
    const width = Math.max(1, ((WIDTH - LEFT - RIGHT) * this.step) / this.length - 0.5);
    return this.points.flatMap((point) => {
      let below = 0;
      return this.parts.map(([, kind, value]) => {
        const part = value(point) ?? 0;
        const y = this.y(below + part);
        const bar = draw("rect", { class: kind, x: this.x(point[0]) - width, width, y, height: Math.max(0, this.y(below) - y) });
        below += part;
        return bar;
      });
    });
  }
  lines() {
    return this.parts.map(([, kind, value]) => {
      let path = "", drawing = false;
      for (const point of this.points) {
        const height = value(point);
        if (height != null) path += `${drawing ? "L" : "M"}${this.x(point[0]).toFixed(1)} ${this.y(height).toFixed(1)}h0.1`;
        drawing = height != null;
      }
      return draw("path", { class: `line ${kind}`, d: path });
    });
  }
  point(index) {
    this.at = index;
    const point = index === null ? null : this.points[index];
    if (!point) {
      this.tip.textContent = "";
      this.cursor?.setAttribute("visibility", "hidden");
      return;
    }
    const x = this.x(point[0]);
    this.cursor.setAttribute("visibility", "visible");
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    const values = this.parts.map(([name, , value]) => `${name} ${this.say(value(point))}`);
    this.tip.textContent = `${timeOf(point[0], this.length)}: ${values.join(", ")}`;
  }
}
