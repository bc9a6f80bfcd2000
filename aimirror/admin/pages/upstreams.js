import { $, cell, figure, heading, live, make, number, span } from "./common.js";

function state(each) {
  if (each.ill) {
    const why = each.why ? `fails: ${each.why}` : "fails";
    return make("td", { class: "bad" }, `${why}${each.shunned ? `; asked last for ${span(each.shunned)}` : ""}`);
  }
  return cell(make("span", { class: "good" }, "well"),
    each.why ? make("span", { class: "hint" }, `; ${span(each.since)} ago: ${each.why}`) : "");
}
live(({ upstreams }) => {
  $("u-none").hidden = upstreams.length > 0;
  $("u-list").replaceChildren(...upstreams.map((each) => make("tr", { class: each.ill ? "ill" : false },
    heading(each.host), state(each), figure(number(each.answered)), figure(number(each.failed)),
    figure(each.header == null ? "–" : `${Math.round(1000 * each.header)} ms`), figure(number(each.connections)))));
});
