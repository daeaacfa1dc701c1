// Reads a style from its form, as the server's canonical form has it: only what takes effect, in the order of
// the names. So the browser's cache knows a style that was shown before.
const NEEDS = {
  color: (style) => style.background === "color",
  backdrop: (style) => style.background === "picture",
  blur: (style) => style.background === "blur",
  strength: (style) => style.shadow !== "none",
  alignment: (style) => Boolean(style.size),
  quality: (style) => ["jpeg", "webp"].includes(style.format),
};
const DEFAULTS = { background: "none", shadow: "none", format: "png", alignment: "middle" };
const FIELDS = ["background", "color", "backdrop", "blur", "shadow", "strength", "margin", "alignment", "format", "quality"];

export function styleOf(form) {
  const data = new FormData(form);
  const style = {};
  for (const name of FIELDS) {
    const value = data.get(name)?.trim();
    if (value) style[name] = value;
  }
  if (data.has("crop")) style.crop = true;
  const [width, height] = [data.get("width")?.trim(), data.get("height")?.trim()];
  if (width || height) style.size = `${width || height} ${height || width}`;
  return JSON.stringify(Object.fromEntries(Object.keys(style).sort()
    .filter((name) => NEEDS[name]?.(style) ?? true)
    .filter((name) => style[name] !== DEFAULTS[name])
    .map((name) => [name, style[name]])));
}

// Fills in the form with the values of an address's query, such as a preset's.
export function fillIn(form, query) {
  const values = new URLSearchParams(query);
  for (const field of form.elements) {
    if (!field.name || field.type === "hidden") continue;
    if (field.type === "radio") field.checked = field.value === values.get(field.name);
    else if (field.type === "checkbox") field.checked = values.has(field.name);
    else if (values.has(field.name) || field.type !== "range") field.value = values.get(field.name) ?? "";
  }
}
