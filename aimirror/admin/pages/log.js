import { $, call, clock, make, poll } from "./common.js";

const MOST = 500;
let last = 0;
poll(async () => {
  const { number, lines } = await call(`log?after=${last}&count=${MOST}`);
  if (number < last) $("lines").replaceChildren();
  last = number;
  $("lines-none").hidden = last > 0;
  if (!lines.length) return;
  $("lines").append(...lines.map(({ time, level, place, text }) => make("p", { class: level },
    make("time", {}, clock(time)), " ", make("b", {}, level), " ", text, make("span", { class: "hint" }, ` ${place}`))));
  while ($("lines").childElementCount > MOST) $("lines").firstElementChild.remove();
  if ($("follow").checked) $("lines").scrollTop = $("lines").scrollHeight;
}, 2);
