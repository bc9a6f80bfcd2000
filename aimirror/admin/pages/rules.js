import { $, attempt, call, cell, heading, make, poll, submits, toast } from "./common.js";

async function look() {
  const { rules } = await call("overview");
  $("r-count").textContent = `(${rules.length})`;
  $("r-list").replaceChildren(...rules.map((rule) => make("tr", {}, heading(rule.name),
    cell(rule.prefix ? make("code", {}, `${rule.prefix}/`) : "", " ",
      rule.pattern ? make("code", {}, rule.pattern) : rule.prefix ? "" : "everything"),
    cell(rule.upstreams.join(", ")),
    cell([rule.strategy, rule.ecosystem].filter(Boolean).join(", ")))));
}
submits("which", async () => {
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
});
$("check").addEventListener("click", () => attempt(async () => toast((await call("check", {})).message)));
$("reload").addEventListener("click", () => attempt(async () => {
  const late = (await call("reload", {})).needs_restart;
  toast(late.length ? `Reloaded; a restart is needed for ${late.join(", ")}.` : "Reloaded.");
  await look();
}));
poll(look, 60);
