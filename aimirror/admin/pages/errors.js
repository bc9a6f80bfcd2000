import { $, ago, call, cell, figure, make, number, poll } from "./common.js";

const PAGE = 25;
let most = PAGE;
async function look() {
  const { errors } = await call("errors");
  $("errors-none").hidden = errors.length > 0;
  $("more").hidden = errors.length <= most;
  $("errors").replaceChildren(...errors.slice(0, most).map((each) => make("tr", {},
    cell(ago(each.last)), make("td", { class: each.status >= 500 || each.status < 400 ? "bad" : false }, String(each.status)),
    cell(each.why || "the upstream's own answer"), make("td", { class: "url" }, each.path),
    cell(each.rule || "–"), cell(each.client), figure(number(each.count)))));
}
$("more").addEventListener("click", () => { most += PAGE; look(); });
poll(look, 3);
