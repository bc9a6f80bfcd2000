// What all pages of the administration share. Text goes into a page by textContent alone.

export const $ = (id) => document.getElementById(id);
let token = "";
try { token = sessionStorage.getItem("token") || ""; } catch { /* no storage: ask again */ }

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// New children for a part of the page; who was at a button there by keyboard stays at it.
export function redraw(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  parent.replaceChildren(...children);
  if (focused) focusOn(parent, focused);
}
export function focusOn(parent, key) {
  const control = [...parent.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  if (control) control.focus();
  return Boolean(control);
}

export function bytes(count) {
  if (count == null) return "?";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.5 && unit < 4) { count /= 1000; unit += 1; }
  return `${unit && count < 99.5 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}
export function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
export const ago = (at) => (at ? `${span(Date.now() / 1000 - at)} ago` : "–");
export const clock = (at) => new Date(1000 * at).toLocaleTimeString("en-GB");
export const number = (value) => value.toLocaleString("en");
export const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");
export const cell = (...children) => make("td", {}, ...children);
export const figure = (text) => make("td", { class: "num" }, text);
export const heading = (...children) => make("th", { scope: "row" }, ...children);

export function toast(text) {
  const note = make("p", {}, text);
  $("toast").append(note);
  setTimeout(() => note.remove(), 6000);
}
export function sure(text) {
  $("sure-text").textContent = text;
  $("sure").returnValue = "no";
  $("sure").showModal();
  return new Promise((done) => $("sure").addEventListener("close", () =>
    done($("sure").returnValue === "yes"), { once: true }));
}
export function submits(id, work) {
  $(id).addEventListener("submit", (event) => { event.preventDefault(); work(); });
}

// ---- the API -------------------------------------------------------------------------------

function asking(name, options = {}) {
  const own = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(`../api/${name}`, { ...options, cache: "no-store", headers: { ...own, ...options.headers } });
}
function refusal(status, told) {
  return Object.assign(new Error(told.message || told.detail || told.error), { status, told });
}
export async function call(name, body) {
  const posted = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const reply = await asking(name, body === undefined ? {} : posted);
  const told = await reply.json();
  if (reply.status === 401 && body !== undefined) ask(told);
  if (!reply.ok) throw refusal(reply.status, told);
  return told;
}
export async function attempt(work) {
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
let opened = () => {};
function refused(status, told) {
  $("all").hidden = true;
  $("login").hidden = status !== 401;
  $("closed").hidden = status === 401;
  $("login-why").textContent = token ? "That token is wrong." : "This mirror asks for a token.";
  $("closed").textContent = `The dashboard is closed here: ${told.detail || told.error}.`;
  connection("lost", "closed");
  if (status === 401) $("token").focus();
  return new Promise((done) => { opened = done; });
}
submits("login", () => {
  token = $("token").value;
  try { sessionStorage.setItem("token", token); } catch { /* asked again next time */ }
  if ($("all").hidden) opened();
  else { $("login").hidden = true; toast("Now do it again."); }
});
function open() {
  connection("live", "live");
  if (!$("all").hidden) return;
  $("all").hidden = false;
  $("login").hidden = $("closed").hidden = true;
}
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// Do `work` again and again: it fails when the mirror is away, or lets nobody in.
async function forever(work, seconds) {
  for (;;) {
    try {
      await work();
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        await refused(error.status, error.told);
        continue;
      }
      connection("lost", "connection lost, trying again…");
    }
    await pause(seconds);
  }
}
// Look each few seconds, while somebody can see it.
export function poll(look, seconds) {
  return forever(async () => {
    if (document.hidden && !$("all").hidden) return;
    const told = await look();
    open();
    return told;
  }, seconds);
}
// All that is told at a glance: everything first, then each second what has changed. The stream is
// read by fetch, as EventSource could not send the token.
export function live(show) {
  let all = {};
  const one = (name, told) => { all = { ...all, ...told }; open(); show(all, name === "all"); };
  return forever(async () => {
    const reply = await asking("events");
    if (!reply.ok) throw refusal(reply.status, await reply.json());
    await read(reply.body.getReader(), one);
    connection("lost", "connection lost, trying again…");
  }, 2);
}
async function read(reader, show) {
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

// The words of a form are in the page's own URL, so that it can be kept and sent.
export function remembered(id) {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = $(id).elements[name];
    if (!field) continue;
    if (field.type === "checkbox") field.checked = true;
    else if (field.tagName === "SELECT" && ![...field.options].some((each) => each.value === value)) {
      field.append(make("option", { value }, value));
      field.value = value;
    } else field.value = value;
  }
}
export function words(id) {
  const filled = [...new FormData($(id))].filter(([, value]) => value);
  const query = new URLSearchParams(filled);
  history.replaceState(null, "", `${location.pathname}${filled.length ? `?${query}` : ""}`);
  return query;
}
export function choices(select, values) {
  if (values.join("\n") === select.dataset.values) return;  // it may be open
  select.dataset.values = values.join("\n");
  const chosen = select.value;
  select.replaceChildren(select.options[0], ...values.map((value) => make("option", { value }, value)));
  select.value = values.includes(chosen) ? chosen : "";
}
