// Adds a copy button to each read-only field and sample. Without this script the text can be selected as usual.
const button = document.getElementById("copy");

for (const source of document.querySelectorAll("[data-copy]")) {
  const copy = button.content.firstElementChild.cloneNode(true);
  const label = copy.textContent;
  copy.addEventListener("click", async () => {
    await copyText(source);
    copy.textContent = copy.dataset.done;
    setTimeout(() => { copy.textContent = label; }, 2000);
  });
  source.after(copy);
}

// Browsers give the clipboard only to pages loaded over HTTPS, but others may copy the selection.
async function copyText(source) {
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
