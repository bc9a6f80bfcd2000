import { $, attempt, bytes, call, make, number, poll, redraw, submits, toast } from "./common.js";

let before = "";
function item(job) {
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
}
async function look() {
  const { jobs } = await call("jobs");
  const now = JSON.stringify(jobs);
  if (now === before) return;
  before = now;
  $("jobs-none").hidden = jobs.length > 0;
  redraw($("jobs"), ...jobs.slice(0, 20).map(item));
}
submits("prefetch-form", async () => {
  const form = new FormData($("prefetch-form"));
  const file = form.get("file");
  const text = file && file.size ? await file.text() : form.get("text");
  const kind = form.get("kind");
  const value = kind === "urls" ? text.split("\n").map((line) => line.trim()).filter(Boolean) : text;
  const wanted = { [kind]: value, python: form.get("python"), platform: form.get("platform") };
  if (kind === "lock") wanted.lock_name = file ? file.name : "";
  if (kind === "requirements") wanted.dependencies = true;
  const job = await attempt(() => call("prefetch", wanted));
  if (job) { toast(`Started: ${job.what}.`); attempt(look); }
});
poll(look, 1);
