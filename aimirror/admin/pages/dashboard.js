"use strict";
// What the page shows comes from api/events, a stream that is read by fetch: EventSource could
// not send the token. Text goes into the page by textContent alone.

const $ = (id) => document.getElementById(id);
const state = { all: null, series: 0, rates: new Map(), entries: [], next: 0, token: "" };
try { state.token = sessionStorage.getItem("token") || ""; } catch { /* no storage: ask again */ }

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// New children for a part of the page; who was at a button there by keyboard stays at it.
function redraw(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  parent.replaceChildren(...children);
  if (focused) focusOn(parent, focused);
}
function focusOn(parent, key) {
  const found = [...parent.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  if (found) found.focus();
  return Boolean(found);
}

function bytes(count) {
  if (count == null) return "?";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.5 && unit < 4) { count /= 1000; unit += 1; }
  return `${unit && count < 99.5 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}
function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
const ago = (at) => (at ? `${span(state.all.time - at)} ago` : "–");
const number = (value) => value.toLocaleString("en");

// On plain HTTP browsers give pages no clipboard: what is selected can be copied all the same.
async function copied(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const focused = document.activeElement;
  const area = make("textarea", { readonly: "", class: "copying", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused.focus();
  if (!done) throw new Error("This browser lets no page copy: select the text, and copy it yourself.");
}

function toast(text) {
  const note = make("p", {}, text);
  $("toast").append(note);
  setTimeout(() => note.remove(), 6000);
}

// ---- the API -------------------------------------------------------------------------------

function headers() {
  return state.token ? { Authorization: `Bearer ${state.token}` } : {};
}
async function call(name, body) {
  const options = { headers: headers(), cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const reply = await fetch(`api/${name}`, options);
  const told = await reply.json();
  if (reply.status === 401) ask(told);
  if (!reply.ok) throw new Error(told.message || told.detail || told.error);
  return told;
}
async function attempt(work) {
  try { return await work(); } catch (error) { toast(error.message); return null; }
}

function connection(word, text) {
  if ($("connection").dataset.state === word) return;
  $("connection").dataset.state = word;
  $("connection").textContent = text;
}
// Looking is free on the mirror's own machine, changing something is not.
function ask(told) {
  $("login").hidden = false;
  $("login-why").textContent = `To change something, ${told.detail || "send the token"}.`;
  $("token").focus();
}
function refused(status, told) {
  $("all").hidden = true;
  $("login").hidden = status !== 401;
  $("closed").hidden = status === 401;
  $("login-why").textContent = state.token ? "That token is wrong." : "This mirror asks for a token.";
  $("closed").textContent = `The dashboard is closed here: ${told.detail || told.error}.`;
  connection("lost", "closed");
}

async function listen() {
  for (;;) {
    try {
      const reply = await fetch("api/events", { headers: headers(), cache: "no-store" });
      if (reply.status === 401 || reply.status === 403) {
        refused(reply.status, await reply.json());
        return;
      }
      if (reply.ok) await read(reply.body.getReader());
    } catch { /* told below */ }
    connection("lost", "connection lost, trying again…");
    await new Promise((done) => setTimeout(done, 2000));
  }
}
async function read(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(event) || [];
      if (name) show(name, JSON.parse(data));
    }
  }
}

function show(name, told) {
  const first = !state.all;
  rate(told);
  state.all = { ...state.all, ...told };
  if ($("all").hidden) {
    $("all").hidden = false;
    $("login").hidden = $("closed").hidden = true;
  }
  connection("live", "live");
  glance(); downloads(); upstreams(); jobs();
  if (name === "all") { slow(); if (first) { snippets(); search(); } }
}

// ---- what changes each second ----------------------------------------------------------------

function rate(told) {
  const before = state.rates;
  state.rates = new Map();
  state.speed = 0;
  for (const each of told.downloads) {
    const old = before.get(each.id);
    const seconds = old ? told.time - old.time : 0;
    const now = old && seconds > 0 ? Math.max(0, each.written - old.written) / seconds : null;
    const smooth = now == null ? null : old.rate == null ? now : 0.6 * old.rate + 0.4 * now;
    state.rates.set(each.id, { time: told.time, written: each.written, rate: smooth });
    state.speed += smooth || 0;
  }
}

function glance() {
  const { totals, cache, workers, downloads: running, queued, clients, uptime } = state.all;
  const asked = totals.hits + totals.misses;
  $("version").textContent = state.all.version || "";
  $("g-rate").textContent = asked ? `${Math.round((100 * totals.hits) / asked)} %` : "–";
  $("g-rate-sub").textContent = `${number(totals.hits)} hits, ${number(totals.misses)} misses`;
  $("g-saved").textContent = bytes(totals.saved);
  $("g-saved-sub").textContent = `of ${bytes(totals.served)} sent; ${bytes(totals.fetched)} fetched`;
  $("g-speed").textContent = `${bytes(state.speed)}/s`;
  $("g-speed-sub").textContent = `${running.length} running, ${queued} pieces wait`;
  $("g-cache").textContent = bytes(cache.bytes);
  $("g-cache-sub").textContent = `of ${bytes(cache.limit)}; ${number(cache.entries)} entries`;
  $("g-meter").value = cache.limit ? cache.bytes / cache.limit : 0;
  const ready = workers.filter((worker) => worker.state === "ready").length;
  $("g-workers").textContent = `${ready} of ${workers.length}`;
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  $("g-workers-sub").textContent = `ready; ${restarts} restarts`;
  $("g-clients").textContent = number(clients);
  $("g-clients-sub").textContent = `connections; up ${span(uptime)}`;
}

const SVG = "http://www.w3.org/2000/svg";
function strip(spans, total, written) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("class", "strip");
  drawn.setAttribute("viewBox", "0 0 1000 10");
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.setAttribute("role", "img");
  const share = total ? Math.floor((100 * written) / total) : null;
  drawn.setAttribute("aria-label", share == null ? "size unknown" : `${share} percent there, in ${spans.length} parts`);
  for (const [start, stop] of total ? spans : []) {
    const part = document.createElementNS(SVG, "rect");
    part.setAttribute("x", (1000 * start) / total);
    part.setAttribute("width", Math.max(1.5, (1000 * (stop - start)) / total));
    part.setAttribute("height", 10);
    drawn.append(part);
  }
  return drawn;
}

function downloads() {
  const running = state.all.downloads;
  $("d-count").textContent = running.length ? `(${running.length})` : "";
  $("d-none").hidden = running.length > 0;
  $("d-list").replaceChildren(...running.map((each) => {
    const speed = (state.rates.get(each.id) || {}).rate;
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
  }));
}

function upstreams() {
  const known = state.all.upstreams;
  $("u-none").hidden = known.length > 0;
  $("u-list").replaceChildren(...known.map((each) => make("tr", {},
    make("th", { scope: "row" }, each.host),
    make("td", { class: each.shunned ? "bad" : "good" },
      each.shunned ? `failed, asked last for ${span(each.shunned)}` : "well"),
    make("td", { class: "num" }, number(each.answered)),
    make("td", { class: "num" }, number(each.failed)),
    make("td", { class: "num" }, each.header == null ? "–" : `${Math.round(1000 * each.header)} ms`),
    make("td", { class: "num" }, number(each.connections)))));
}

function jobs() {
  const known = state.all.jobs;
  const shown = JSON.stringify(known);
  if (shown === state.jobs) return;
  state.jobs = shown;
  $("jobs-none").hidden = known.length > 0;
  redraw($("jobs"), ...known.map((job) => {
    const running = job.state === "running";
    const [done, whole] = job.total_bytes == null ? [job.done, job.total] : [job.bytes, job.total_bytes];
    const bar = make("progress", { max: whole || 1, "aria-label": `${job.kind} ${job.what}` });
    if (whole != null || !running) bar.value = running ? done : whole || 1;
    const facts = [
      job.state,
      job.total == null ? "" : `${number(job.done)} of ${number(job.total)}`,
      job.cached ? `${number(job.cached)} were there` : "",
      job.bytes ? bytes(job.bytes) + (running && job.total_bytes ? ` of ${bytes(job.total_bytes)}` : "") : "",
      job.failed ? `${number(job.failed)} failed` : "",
      job.message,
    ].filter(Boolean).map((fact) => make("span", { class: fact.endsWith("failed") ? "bad" : false }, fact));
    const failures = job.failures.slice(0, 20).map((each) => make("li", {}, `${each.item}: ${each.why}`));
    const stop = make("button", { type: "button", class: "small", "data-key": `stop ${job.id}`, onclick: () =>
      attempt(() => call("cancel", { id: job.id })) }, "Cancel");
    return make("li", { class: "job" }, make("div", { class: "name" }, `${job.kind}: ${job.what} `),
      running ? bar : "", make("div", { class: "facts" }, ...facts, running ? stop : ""),
      failures.length ? make("details", {}, make("summary", {}, "What failed"), make("ul", {}, ...failures)) : "");
  }));
}

// ---- what changes slowly ---------------------------------------------------------------------

function slow() {
  const { by_rule: use, rules, series } = state.all;
  const most = Math.max(1, ...use.map((each) => each.bytes));
  $("use").replaceChildren(...use.map((each) => {
    const fill = make("b");
    fill.style.width = `${(100 * each.bytes) / most}%`;
    return make("div", { class: "bar" }, make("span", {}, each.rule || "(none)"), make("i", {}, fill),
      make("span", {}, `${bytes(each.bytes)}, ${number(each.entries)}`));
  }));
  for (const chosen of document.querySelectorAll("select[name=rule]")) {
    const value = chosen.value;
    const names = rules.map((rule) => rule.name);
    if (names.join("\n") === chosen.dataset.names) continue;  // it may be open
    chosen.dataset.names = names.join("\n");
    chosen.replaceChildren(chosen.options[0], ...names.map((name) => make("option", { value: name }, name)));
    chosen.value = value;
  }
  $("r-list").replaceChildren(...rules.map((rule) => make("tr", {},
    make("th", { scope: "row" }, rule.name),
    make("td", {}, rule.prefix ? make("code", {}, `${rule.prefix}/`) : "", " ",
      rule.pattern ? make("code", {}, rule.pattern) : rule.prefix ? "" : "everything"),
    make("td", {}, rule.upstreams.join(", ")),
    make("td", {}, [rule.strategy, rule.ecosystem].filter(Boolean).join(", ")))));
  charts(series);
}

function charts(series) {
  const { step, points } = series[state.series];
  const width = series[state.series].step * (state.series ? 288 : 360);
  draw($("c-requests"), points, step, width, 1, 2, (value) => number(Math.round(value)));
  draw($("c-bytes"), points, step, width, 4, 5, bytes);
}
function draw(canvas, points, step, width, one, two, say) {
  const scale = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * scale);
  canvas.height = Math.round(box.height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const end = state.all.time;
  const most = Math.max(1, ...points.map((p) => p[one] + p[two]));
  const high = box.height - 34;
  const x = (at) => box.width * (1 - (end - at) / width);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = color("--quiet");
  const minutes = width / 60;
  for (const share of [0.25, 0.5, 0.75]) {
    const back = minutes * (1 - share);
    pen.textAlign = "center";
    pen.fillText(back >= 120 ? `${Math.round(back / 60)} h ago` : `${Math.round(back)} min ago`, box.width * share, box.height - 4);
  }
  pen.textAlign = "left";
  pen.fillText(`${say(most)} in ${span(step)}`, 0, 10);
  pen.strokeStyle = color("--line");
  pen.beginPath();
  pen.moveTo(0, high + 16.5); pen.lineTo(box.width, high + 16.5);
  pen.stroke();
  const thick = Math.max(1, (box.width * step) / width - 0.5);
  for (const point of points) {
    const first = (high * point[one]) / most;
    const second = (high * point[two]) / most;
    pen.fillStyle = color("--one");
    pen.fillRect(x(point[0]) - thick, 16 + high - first, thick, first);
    pen.fillStyle = color("--two");
    pen.fillRect(x(point[0]) - thick, 16 + high - first - second, thick, second);
  }
  const sum = (column) => points.reduce((total, point) => total + point[column], 0);
  const label = canvas.getAttribute("aria-label").split(":")[0];
  canvas.setAttribute("aria-label", `${label}: ${say(sum(one))} and ${say(sum(two))}`);
}

async function refresh() {
  const told = await call("overview");
  show("all", told);
}

// ---- entries -----------------------------------------------------------------------------------

const PAGE = 20;
async function search(more = false) {
  const form = new FormData($("search"));
  const offset = more ? state.entries.length : 0;
  const query = new URLSearchParams({ count: PAGE, offset });
  for (const [name, value] of form) if (value) query.set(name, value);
  const told = await attempt(() => call(`entries?${query}`));
  if (!told) return;
  state.entries = more ? [...state.entries, ...told.entries] : told.entries;
  $("more").hidden = told.entries.length < PAGE;
  entries();
}
function entries() {
  $("entries-none").hidden = state.entries.length > 0;
  redraw($("entries"), ...state.entries.map((entry) => make("tr", {},
    make("td", { class: "url" }, make("button", { type: "button", "data-key": `look ${entry.name}`, onclick: () => details(entry) },
      entry.url, entry.status === 200 ? "" : ` (${entry.status})`),
      entry.private ? make("span", { class: "hint" }, " private") : ""),
    make("td", {}, entry.rule),
    make("td", { class: "num" }, bytes(entry.size)),
    make("td", {}, ago(entry.received)),
    make("td", {}, ago(entry.used)),
    make("td", { class: "acts" },
      make("button", { type: "button", class: "small", "data-key": `pin ${entry.name}`, "aria-pressed": String(entry.pinned),
        "aria-label": `Pin ${entry.url}`, onclick: () => pin(entry) }, entry.pinned ? "Unpin" : "Pin"), " ",
      make("button", { type: "button", class: "small danger", "data-key": `purge ${entry.name}`,
        "aria-label": `Purge ${entry.url}`, onclick: () => purge(entry) }, "Purge")))));
}
async function pin(entry) {
  const done = await attempt(() => call("pin", { name: entry.name, pinned: !entry.pinned }));
  if (!done) return;
  entry.pinned = !entry.pinned;
  entries();
  toast(entry.pinned ? "Pinned: never evicted." : "No longer pinned.");
}
async function purge(entry) {
  if (!(await sure(`Purge ${entry.url}?`))) return;
  const done = await attempt(() => call("purge", { name: entry.name }));
  if (!done) return;
  const row = state.entries.indexOf(entry);
  state.entries = state.entries.filter((other) => other !== entry);
  entries();
  const next = state.entries[Math.min(row, state.entries.length - 1)];
  if (!next || !focusOn($("entries"), `purge ${next.name}`)) $("search").elements.contains.focus();
  toast(`Purged ${bytes(done.bytes)}.`);
}
async function details(entry) {
  const told = await attempt(() => call(`entry?${new URLSearchParams({ name: entry.name })}`));
  if (!told || !told.entries.length) return;
  const found = told.entries[0];
  const facts = [
    ["URL", found.url], ["Rule", found.rule], ["Size", bytes(found.size)], ["SHA-256", found.sha256 || "–"],
    ["Age", span(found.age)], ["Immutable", found.immutable ? "yes" : "no"],
    ["Pinned", found.pinned ? "yes" : "no"], ...found.headers,
  ].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  $("details-body").replaceChildren(make("dl", { class: "facts" }, ...facts));
  $("details").showModal();
}
function sure(text) {
  $("sure-text").textContent = text;
  $("sure").returnValue = "no";
  $("sure").showModal();
  return new Promise((done) => $("sure").addEventListener("close", () =>
    done($("sure").returnValue === "yes"), { once: true }));
}
async function purgeMany() {
  const form = new FormData($("purge"));
  const days = form.get("days");
  const wanted = {};
  if (form.get("prefix")) wanted.prefix = form.get("prefix");
  if (form.get("rule")) wanted.rule = form.get("rule");
  if (days) wanted.older_than = Number(days) * 86400;
  const dry = await attempt(() => call("purge", { ...wanted, dry_run: true }));
  if (!dry) return;
  if (!dry.purged) { toast("Nothing fits."); return; }
  if (!(await sure(`Purge ${number(dry.purged)} entries, ${bytes(dry.bytes)}?`))) return;
  const done = await attempt(() => call("purge", wanted));
  if (done) { toast(`Purged ${number(done.purged)} entries.`); search(); attempt(refresh); }
}

// ---- fetch ahead, rules, set-up ----------------------------------------------------------------

async function prefetch() {
  const form = new FormData($("prefetch-form"));
  const file = form.get("file");
  const text = file && file.size ? await file.text() : form.get("text");
  const kind = form.get("kind");
  const value = kind === "urls" ? text.split("\n").map((line) => line.trim()).filter(Boolean) : text;
  const wanted = { [kind]: value, python: form.get("python"), platform: form.get("platform") };
  if (kind === "lock") wanted.lock_name = file ? file.name : "";
  if (kind === "requirements") wanted.dependencies = true;
  const job = await attempt(() => call("prefetch", wanted));
  if (job) toast(`Started: ${job.what}.`);
}
async function which() {
  const url = new FormData($("which")).get("url").trim();
  const told = await attempt(() => call(`route?${new URLSearchParams({ url })}`));
  if (!told) return;
  const facts = told.rule
    ? [["Rule", told.rule], ["Path here", told.path], ["Asks", told.urls.join(", ")],
      ["Way", [told.strategy, told.ecosystem].filter(Boolean).join(", ")],
      ["Stored", told.stored ? `yes${told.immutable ? ", for ever" : ""}` : "no"]]
    : [["No rule", told.why]];
  $("which-answer").replaceChildren(make("dl", { class: "facts" },
    ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
}
async function snippets() {
  const here = location.origin;
  const told = await attempt(() => call(`clients?${new URLSearchParams({ url: here })}`));
  const clients = told ? told.clients : [];
  const worlds = [
    ...clients.map(({ name, path, text, note }) =>
      [name, `# ${path}\n${text}${note ? `# ${note}\n` : ""}`]),
    ["Any HTTP client", `export HTTPS_PROXY=${here}`],
  ];
  $("snippets").replaceChildren(...worlds.map(([name, text]) => {
    const copy = make("button", { type: "button", class: "small", "aria-label": `Copy for ${name}`,
      onclick: () => attempt(async () => { await copied(text); toast("Copied."); }) }, "Copy");
    return make("div", { class: "card" }, make("h3", {}, name, copy), make("pre", { tabindex: 0 }, text));
  }));
}

// ---- wiring ------------------------------------------------------------------------------------

function submits(id, work) {
  $(id).addEventListener("submit", (event) => { event.preventDefault(); work(); });
}
submits("login", () => {
  state.token = $("token").value;
  try { sessionStorage.setItem("token", state.token); } catch { /* asked again next time */ }
  if ($("all").hidden) listen();
  else { $("login").hidden = true; toast("Now do it again."); }
});
submits("search", () => search());
submits("purge", purgeMany);
submits("prefetch-form", prefetch);
submits("which", which);
$("more").addEventListener("click", () => search(true));
$("verify").addEventListener("click", () => attempt(async () => {
  const job = await call("verify", {});
  toast(job.message || "Verifying; see Jobs.");
}));
$("check").addEventListener("click", () => attempt(async () => toast((await call("check", {})).message)));
$("reload").addEventListener("click", () => attempt(async () => {
  const late = (await call("reload", {})).needs_restart;
  toast(late.length ? `Reloaded; a restart is needed for ${late.join(", ")}.` : "Reloaded.");
  await refresh();
}));
for (const button of document.querySelectorAll("[data-series]")) {
  button.addEventListener("click", () => {
    state.series = Number(button.dataset.series);
    for (const other of document.querySelectorAll("[data-series]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    charts(state.all.series);
  });
}
window.addEventListener("resize", () => state.all && charts(state.all.series));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.all && charts(state.all.series));
setInterval(() => {
  if (!document.hidden && $("connection").dataset.state === "live") attempt(refresh);
}, 15000);
listen();
