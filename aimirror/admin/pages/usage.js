import { $, ago, bytes, call, cell, figure, heading, make, number, poll, share } from "./common.js";

function row(name, use) {
  return make("tr", {}, heading(...name), figure(number(use.answers)), figure(share(use.hits, use.answers)),
    make("td", { class: use.errors ? "num bad" : "num" }, number(use.errors)),
    figure(bytes(use.bytes)), figure(bytes(use.saved)), cell(ago(use.last)));
}
poll(async () => {
  const { clients, rules } = await call("usage?count=50");
  $("talkers-none").hidden = clients.length > 0;
  $("talkers").replaceChildren(...clients.map((use) =>
    row([use.client, use.kind === "user" ? make("span", { class: "hint" }, " login") : ""], use)));
  $("by-rule").replaceChildren(...rules.map((use) => row([use.rule], use)));
}, 5);
