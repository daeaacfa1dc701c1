// The before/after slider: a range input says where the cut is, the style sheet does the rest.
// Listening on the document serves a slider that htmx puts in later, too.
document.addEventListener("input", ({ target }) => {
  target.closest("[data-compare]")?.style.setProperty("--cut", `${target.value}%`);
});
