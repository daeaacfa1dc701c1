// The page's texts, which stand in its template so that they are translated there, and numbers in the reader's
// notation. A text has {placeholders}; with a count it has two forms, data-pictures-one and data-pictures-other.
// The count of an amount of credits comes from the server, because 1.5 is plural in English, and not in French.

export class Words {
  #texts;
  #language = document.documentElement.lang || "en";
  #plurals = new Intl.PluralRules(this.#language);

  constructor(element) {
    this.#texts = { ...element.dataset };
  }

  say(key, values = {}) {
    const text = this.#texts[key] ?? this.#plural(key, values.count);
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = values[name];
      return typeof value === "number" ? this.number(value) : (value ?? whole);
    });
  }

  // French has a third category, "many" for millions, with the words of "other".
  #plural(key, count) {
    const form = this.#plurals.select(count) === "one" ? "One" : "Other";
    return this.#texts[key + form];
  }

  number(value, digits = 0) {
    return new Intl.NumberFormat(this.#language, { maximumFractionDigits: digits }).format(value);
  }

  megapixels(pixels) {
    return this.number(pixels / 1e6, pixels < 1e6 ? 2 : 1);
  }

  size(bytes) {
    const [unit, factor] = UNITS.find(([, least]) => bytes >= least) ?? UNITS.at(-1);
    const value = bytes / factor;
    return this.#measure(factor > 1e3 ? value : Math.ceil(value), unit, value < 10 ? 1 : 0);
  }

  rate(bytes) {
    return `${this.size(bytes)}/s`;
  }

  duration(seconds) {
    if (seconds < 60) return this.#measure(Math.max(1, Math.round(seconds)), "second");
    if (seconds < 3600) return this.#measure(Math.round(seconds / 60), "minute");
    return this.#measure(seconds / 3600, "hour", 1);
  }

  #measure(value, unit, digits = 0) {
    const options = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits };
    return new Intl.NumberFormat(this.#language, options).format(value);
  }
}

const UNITS = [["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3]];
