import { $, bytes, call, live, make, number, share, span, attempt } from "./common.js";
import { Chart } from "./chart.js";

// The columns of a point, behind its time.
const [HITS, MISSES, , SAVED, FETCHED, ERRORS] = [1, 2, 3, 4, 5, 6];
const charts = [
  new Chart($("c-requests"), "Requests", "count", [["hits", "k1", (p) => p[HITS]], ["misses", "k2", (p) => p[MISSES]]]),
  new Chart($("c-bytes"), "Bytes", "bytes", [["saved", "k1", (p) => p[SAVED]], ["fetched", "k2", (p) => p[FETCHED]]]),
  new Chart($("c-ratio"), "Hit rate", "percent",
    [["hit rate", "k1", (p) => (p[HITS] + p[MISSES] ? (100 * p[HITS]) / (p[HITS] + p[MISSES]) : null)]], { line: true }),
  new Chart($("c-errors"), "Errors", "count", [["errors", "k3", (p) => p[ERRORS]]]),
];
let chosen = 0, series = null, time = 0, before = null;

function drawn() {
  for (const chart of charts) chart.show(series[chosen], time);
}
function speed({ time: now, totals }) {
  const passed = before ? now - before.time : 0;
  const rate = passed > 0 ? Math.max(0, totals.fetched - before.fetched) / passed : 0;
  before = { time: now, fetched: totals.fetched };
  return rate;
}
function glance(all) {
  const { totals, cache, workers, downloads, queued, clients, uptime } = all;
  $("g-rate").textContent = share(totals.hits, totals.hits + totals.misses);
  $("g-rate-sub").textContent = `${number(totals.hits)} hits, ${number(totals.misses)} misses, ${number(totals.errors)} errors`;
  $("g-saved").textContent = bytes(totals.saved);
  $("g-saved-sub").textContent = `of ${bytes(totals.served)} sent; ${bytes(totals.fetched)} fetched`;
  $("g-speed").textContent = `${bytes(speed(all))}/s`;
  $("g-speed-sub").textContent = `${downloads.length} running, ${queued} pieces wait`;
  $("g-cache").textContent = bytes(cache.bytes);
  $("g-cache-sub").textContent = `of ${bytes(cache.limit)}; ${number(cache.entries)} entries`;
  $("g-meter").value = cache.limit ? cache.bytes / cache.limit : 0;
  const ready = workers.filter((worker) => worker.state === "ready").length;
  $("g-workers").textContent = `${ready} of ${workers.length}`;
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  $("g-workers-sub").textContent = `ready; ${restarts} ${restarts === 1 ? "restart" : "restarts"}`;
  $("g-clients").textContent = number(clients);
  $("g-clients-sub").textContent = `${clients === 1 ? "connection" : "connections"}; up ${span(uptime)}`;
}
function behind({ tier, cluster }) {
  const facts = [];
  if (tier) {
    const good = tier.state === "closed";
    const waits = tier.waiting ? `${number(tier.waiting)} entries wait to be sent, the oldest for ${span(tier.oldest || 0)}` : "nothing waits to be sent";
    const state = good ? "in use" : tier.problem || (tier.state === "trying" ? "being tried again" : "left alone for a while");
    facts.push(["Store (S3)", make("b", { class: good ? "good" : "bad" }, state), `; ${waits}; ${bytes(tier.read)} read, ${bytes(tier.sent)} sent${tier.bad ? `; ${number(tier.bad)} damaged` : ""}`]);
  }
  if (cluster) {
    const nodes = cluster.nodes.flatMap(({ node, away }, index) => [index ? ", " : "",
      make("span", { class: away ? "bad" : "good" }, `${node}${node === cluster.self ? " (this one)" : ""}${away ? " does not answer" : ""}`)]);
    facts.push([cluster.nodes.length === 1 ? "1 node" : `${cluster.nodes.length} nodes`, ...nodes]);
  }
  $("behind").hidden = !facts.length;
  $("behind-facts").replaceChildren(...facts.flatMap(([name, ...rest]) => [make("dt", {}, name), make("dd", {}, ...rest)]));
}

live((all, whole) => {
  time = all.time;
  glance(all);
  behind(all.behind);
  if (whole) { series = all.series; drawn(); }
});
setInterval(() => {
  if (document.hidden || $("connection").dataset.state !== "live") return;
  attempt(async () => { const all = await call("overview"); time = all.time; series = all.series; drawn(); });
}, 10000);
for (const button of document.querySelectorAll("[data-series]")) {
  button.addEventListener("click", () => {
    chosen = Number(button.dataset.series);
    for (const other of document.querySelectorAll("[data-series]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    if (series) drawn();
  });
}
