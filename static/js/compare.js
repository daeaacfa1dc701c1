// The before/after slider: a range input sets the position of the cut, and the style sheet does the rest.
// The listener is on the document, so that it also serves a slider that htmx inserts later.
document.addEventListener("input", ({ target }) => {
  target.closest("[data-compare]")?.style.setProperty("--cut", `${target.value}%`);
});
