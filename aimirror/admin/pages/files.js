import { $, ago, attempt, bytes, call, cell, choices, figure, focusOn, make, number, poll, redraw, remembered, span, submits, sure, toast, words } from "./common.js";

const PAGE = 20;
let offset = 0, shown = [];

function row(entry) {
  return make("tr", {},
    make("td", { class: "url" }, make("button", { type: "button", "data-key": `look ${entry.name}`, onclick: () => details(entry) },
      entry.url, entry.status === 200 ? "" : ` (${entry.status})`),
    entry.private ? make("span", { class: "hint" }, " private") : ""),
    cell(entry.rule), figure(bytes(entry.size)), cell(ago(entry.received)), cell(ago(entry.used)),
    make("td", { class: "acts" },
      make("button", { type: "button", class: "small", "data-key": `pin ${entry.name}`, "aria-pressed": String(entry.pinned),
        "aria-label": `Pin ${entry.url}`, onclick: () => pin(entry) }, entry.pinned ? "Unpin" : "Pin"), " ",
      make("button", { type: "button", class: "small danger", "data-key": `purge ${entry.name}`,
        "aria-label": `Purge ${entry.url}`, onclick: () => purge(entry) }, "Purge")));
}
function drawn() {
  $("entries-none").hidden = shown.length > 0;
  redraw($("entries"), ...shown.map(row));
}
async function search(from = 0) {
  offset = from;
  const query = words("search");
  query.set("count", PAGE + 1);
  query.set("offset", offset);
  const { entries } = await call(`entries?${query}`);
  $("more").hidden = entries.length <= PAGE;
  $("back").hidden = offset === 0;
  shown = entries.slice(0, PAGE);
  drawn();
}
async function pin(entry) {
  const done = await attempt(() => call("pin", { name: entry.name, pinned: !entry.pinned }));
  if (!done) return;
  entry.pinned = !entry.pinned;
  drawn();
  toast(entry.pinned ? "Pinned: never evicted." : "No longer pinned.");
}
async function purge(entry) {
  if (!(await sure(`Purge ${entry.url}?`))) return;
  const done = await attempt(() => call("purge", { name: entry.name }));
  if (!done) return;
  const place = shown.indexOf(entry);
  shown = shown.filter((other) => other !== entry);
  drawn();
  const next = shown[Math.min(place, shown.length - 1)];
  if (!next || !focusOn($("entries"), `purge ${next.name}`)) $("search").elements.contains.focus();
  toast(`Purged ${bytes(done.bytes)}.`);
}
async function details(entry) {
  const told = await attempt(() => call(`entry?${new URLSearchParams({ name: entry.name })}`));
  if (!told || !told.entries.length) return;
  const stored = told.entries[0];
  const facts = [
    ["URL", stored.url], ["Rule", stored.rule], ["Size", bytes(stored.size)], ["SHA-256", stored.sha256 || "–"],
    ["Age", span(stored.age)], ["Immutable", stored.immutable ? "yes" : "no"],
    ["Pinned", stored.pinned ? "yes" : "no"], ...stored.headers,
  ].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  $("details-body").replaceChildren(make("dl", { class: "facts" }, ...facts));
  $("details").showModal();
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
  if (done) { toast(`Purged ${number(done.purged)} entries.`); attempt(() => search()); }
}

remembered("search");
submits("search", () => attempt(() => search()));
submits("purge", purgeMany);
$("more").addEventListener("click", () => attempt(() => search(offset + PAGE)));
$("back").addEventListener("click", () => attempt(() => search(Math.max(0, offset - PAGE))));
$("verify").addEventListener("click", () => attempt(async () => {
  const job = await call("verify", {});
  toast(job.message || "Verifying; see Jobs.");
}));
poll(async () => {
  await search(offset);
  const { rules } = await call("overview");
  for (const select of document.querySelectorAll("select[name=rule]")) choices(select, rules.map((rule) => rule.name));
}, 60);
