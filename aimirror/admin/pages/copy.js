// Adds a button to each text that is worth copying; without a script it can be selected as well.

// On plain HTTP browsers give pages no clipboard: what is selected can be copied all the same.
async function copied(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.readOnly = true;
  area.className = "copying";
  area.setAttribute("aria-hidden", "true");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused.focus();
  if (!done) throw new Error("This browser lets no page copy: select the text.");
}
for (const pre of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${pre.dataset.copy}`);
  button.addEventListener("click", async () => {
    const status = document.getElementById("copied");
    try {
      await copied(pre.textContent);
      status.textContent = "Copied.";
    } catch (error) {
      status.textContent = error.message;
    }
  });
  pre.before(button);
}
