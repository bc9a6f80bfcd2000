import { $, ago, attempt, bytes, call, cell, choices, figure, heading, make, number, poll, remembered, submits, words } from "./common.js";

const PAGE = 25, RULES = 8;
let offset = 0;

function row({ world, name, versions, entries, bytes: size, used, pinned }) {
  const target = `package?${new URLSearchParams({ world, name })}`;
  return make("tr", {},
    heading(make("a", { href: target }, name), pinned ? make("span", { class: "hint" }, " pinned") : ""),
    cell(world), figure(number(versions)), figure(number(entries)), figure(bytes(size)), cell(ago(used)));
}
async function search(from = 0) {
  offset = from;
  const query = words("search");
  query.set("count", PAGE);
  query.set("offset", offset);
  const told = await call(`packages?${query}`);
  const last = offset + told.packages.length;
  $("p-count").textContent = told.total ? `${number(offset + 1)} to ${number(last)} of ${number(told.total)}` : "";
  $("packages-none").hidden = told.packages.length > 0;
  $("packages").replaceChildren(...told.packages.map(row));
  choices($("search").elements.world, told.worlds);
  const rest = told.nameless.entries
    ? `Beside them: ${number(told.nameless.entries)} files of no single package, ${bytes(told.nameless.bytes)}.` : "";
  $("packages-rest").textContent = told.partial ? `${rest} Only the files that were used last were looked at.` : rest;
  $("back").hidden = offset === 0;
  $("more").hidden = last >= told.total;
}
async function byRule() {
  const { by_rule: use } = await call("overview");
  const most = Math.max(1, ...use.map((each) => each.bytes));
  const bars = use.map((each) => {
    const fill = make("b");
    fill.style.width = `${(100 * each.bytes) / most}%`;
    return make("div", { class: "bar" },
      make("a", { href: `files?${new URLSearchParams({ rule: each.rule })}` }, each.rule || "(none)"), make("i", {}, fill),
      make("span", {}, `${bytes(each.bytes)}, ${number(each.entries)}`));
  });
  $("use").replaceChildren(...bars.slice(0, RULES));
  $("use-more").hidden = bars.length <= RULES;
  $("use-rest").replaceChildren(...bars.slice(RULES));
}

remembered("search");
submits("search", () => attempt(() => search()));
$("more").addEventListener("click", () => attempt(() => search(offset + PAGE)));
$("back").addEventListener("click", () => attempt(() => search(Math.max(0, offset - PAGE))));
poll(async () => { await byRule(); await search(offset); }, 60);
