// A button beside each read-only field, and beside each sample, that copies it. Without this script the text
// can be selected as any other.
const button = document.getElementById("copy");

for (const source of document.querySelectorAll("[data-copy]")) {
  const copy = button.content.firstElementChild.cloneNode(true);
  const label = copy.textContent;
  copy.addEventListener("click", async () => {
    await take(source);
    copy.textContent = copy.dataset.done;
    setTimeout(() => { copy.textContent = label; }, 2000);
  });
  source.after(copy);
}

// Browsers keep the clipboard from pages that came without HTTPS, but let them copy what is selected.
async function take(source) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    return;
  }
  if (source.select) {
    source.select();
  } else {
    getSelection().selectAllChildren(source);
  }
  document.execCommand("copy");
}
