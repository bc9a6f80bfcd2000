import { $, bytes, call, cell, clock, figure, live, make, number, poll, span } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
let rates = new Map();

function rate(told) {
  const before = rates;
  rates = new Map();
  for (const each of told.downloads) {
    const old = before.get(each.id);
    const seconds = old ? told.time - old.time : 0;
    const now = old && seconds > 0 ? Math.max(0, each.written - old.written) / seconds : null;
    const smooth = now == null ? null : old.rate == null ? now : 0.6 * old.rate + 0.4 * now;
    rates.set(each.id, { time: told.time, written: each.written, rate: smooth });
  }
}
// Which parts of a file are there.
function strip(spans, total, written) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("class", "strip");
  drawn.setAttribute("viewBox", "0 0 1000 10");
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.setAttribute("role", "img");
  const part = total ? Math.floor((100 * written) / total) : null;
  drawn.setAttribute("aria-label", part == null ? "size unknown" : `${part} percent there, in ${spans.length} parts`);
  for (const [start, stop] of total ? spans : []) {
    const there = document.createElementNS(SVG, "rect");
    there.setAttribute("x", (1000 * start) / total);
    there.setAttribute("width", Math.max(1, (1000 * (stop - start)) / total));
    there.setAttribute("height", 10);
    drawn.append(there);
  }
  return drawn;
}
function running(each) {
  const speed = (rates.get(each.id) || {}).rate;
  const left = speed && each.total ? (each.total - each.written) / speed : null;
  const facts = [
    each.rule,
    `${bytes(each.written)} of ${bytes(each.total)}`,
    speed == null ? "…" : `${bytes(speed)}/s`,
    left == null ? "" : `${span(left)} left`,
    `${each.readers} ${each.readers === 1 ? "reader" : "readers"}`,
    `since ${span(each.seconds)}`,
  ].filter(Boolean).map((fact) => make("span", {}, fact));
  return make("li", { class: "download" },
    make("div", { class: "name" }, each.url),
    strip(each.spans, each.total, each.written),
    make("div", { class: "facts" }, ...facts));
}

live((all) => {
  rate(all);
  $("d-count").textContent = all.downloads.length ? `(${all.downloads.length})` : "";
  $("d-none").hidden = all.downloads.length > 0;
  $("d-list").replaceChildren(...all.downloads.map(running));
});

let last = 0, shown = [];
poll(async () => {
  const { number: now, answers } = await call(`answers?after=${last}&count=50`);
  if (now < last) shown = [];
  last = now;
  shown = [...answers.reverse(), ...shown].slice(0, 50);
  $("answers-none").hidden = shown.length > 0;
  if (!answers.length) return;
  $("answers").replaceChildren(...shown.map((each) => make("tr", {},
    cell(clock(each.time)), cell(each.client),
    make("td", { class: "url" }, each.path, each.why ? make("span", { class: "bad" }, ` ${each.why}`) : ""),
    make("td", { class: each.status >= 500 ? "bad" : false }, String(each.status)), cell(each.cache || "–"),
    figure(bytes(each.bytes)), figure(number(each.seconds)))));
}, 2);
