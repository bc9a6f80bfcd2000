import { $, ago, attempt, bytes, call, cell, figure, make, number, poll, redraw, sure, toast } from "./common.js";

const asked = new URLSearchParams(location.search);
const world = asked.get("world") || "", name = asked.get("name") || "";
document.title = `${name} - aimirror`;
$("package-title").textContent = name || "Package";

const PAGE = 20;
let most = PAGE, told = { versions: [] };
// Versions whose files are shown.
const opened = new Set();

// One call for each file: they are named, so pinned ones go, too, and other nodes follow.
async function each(files, path, words) {
  for (const file of files) await call(path, { name: file.name, ...words });
  await look();
}
function version({ version: text, files, bytes: size, used, entries, pinned }) {
  const label = text || "all versions";
  const all = pinned < files.length;
  const buttons = [
    make("button", { type: "button", class: "small", "data-key": `pin ${text}`, "aria-label": `${all ? "Pin" : "Unpin"} ${name} ${label}`,
      onclick: () => attempt(async () => { await each(files, "pin", { pinned: all }); toast(all ? "Pinned: never evicted." : "No longer pinned."); }) },
    all ? "Pin" : "Unpin"), " ",
    make("button", { type: "button", class: "small danger", "data-key": `purge ${text}`, "aria-label": `Purge ${name} ${label}`,
      onclick: () => attempt(async () => {
        if (!(await sure(`Purge ${number(files.length)} ${files.length === 1 ? "file" : "files"} of ${name} ${label}?`))) return;
        await each(files, "purge", {});
        toast("Purged.");
      }) }, "Purge"),
  ];
  const rows = files.map((file) => make("tr", {},
    make("td", { class: "url" }, file.file, file.pinned ? make("span", { class: "hint" }, " pinned") : ""),
    figure(bytes(file.size)), cell(ago(file.received)), cell(ago(file.used))));
  const head = make("tr", {}, ...["File", "Size", "Stored", "Used"].map((title, index) =>
    make("th", { scope: "col", class: index === 1 ? "num" : false }, title)));
  const facts = ` ${number(entries)} ${entries === 1 ? "file" : "files"}, ${bytes(size)}, used ${ago(used)}`;
  const some = entries > files.length ? make("p", { class: "hint" }, `The ${number(files.length)} used last.`) : "";
  const details = make("details", { open: opened.has(text) ? "" : null,
    ontoggle: () => (details.open ? opened.add(text) : opened.delete(text)) },
  make("summary", { "data-key": `files ${text}` }, make("b", {}, label), make("span", { class: "count" }, facts)), some,
  make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Files of ${label}` },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
  return make("div", { class: "version" }, details, make("span", {}, ...buttons));
}
function drawn() {
  $("more").hidden = told.versions.length <= most;
  redraw($("versions"), ...told.versions.slice(0, most).map(version));
}
async function look() {
  told = await call(`package?${new URLSearchParams({ world, package: name })}`);
  $("versions-none").hidden = told.total > 0;
  $("package-sum").textContent = told.total
    ? `${world}; ${number(told.entries)} files, ${bytes(told.bytes)}${told.total > told.versions.length ? `; the ${told.versions.length} versions used last` : ""}` : "";
  drawn();
}
$("more").addEventListener("click", () => { most += PAGE; drawn(); });
poll(look, 60);
