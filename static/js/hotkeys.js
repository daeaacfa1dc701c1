// Presses the element that declares a key with data-hotkey, and lists all of them in a sheet ([data-sheet]).
// Keys are ignored in fields, in dialogs, and with Ctrl, Alt or ⌘.

const FIELDS = "textarea, select, [contenteditable], dialog, input:not([type=checkbox], [type=radio], [type=button])";

export function isForKeys(event) {
  return !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest?.(FIELDS);
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (!isForKeys(event) || event.repeat) return;
    const element = pressable(event.key);
    if (!element) return;
    event.preventDefault();
    element.click();
  });
}

// Intake's own buttons ([data-pick]) press themselves.
function pressable(key) {
  const declared = document.querySelectorAll(`[data-hotkey="${CSS.escape(key)}"]:not([data-pick])`);
  return Array.from(declared).find((element) => element.checkVisibility() && !element.disabled);
}

// Writes the sheet anew from what is on the page now, below the rows that the template has.
export function fillSheet(sheet) {
  for (const row of sheet.querySelectorAll("[data-declared]")) row.remove();
  for (const element of document.querySelectorAll("[data-hotkey]")) {
    if (!element.checkVisibility()) continue;
    const row = document.createElement("div");
    row.dataset.declared = "";
    const key = document.createElement("kbd");
    key.textContent = element.dataset.hotkey;
    row.append(document.createElement("dt"), document.createElement("dd"));
    row.firstChild.append(key);
    row.lastChild.textContent = label(element);
    sheet.append(row);
  }
}

function label(element) {
  const text = element.title || element.getAttribute("aria-label") || element.textContent;
  return text.replace(` (${element.dataset.hotkey})`, "").trim();
}
