{% autoescape off %}// Requires Node.js 18 or newer and no packages.
import { readFile, writeFile } from "node:fs/promises";

const form = new FormData();
form.append("image", new Blob([await readFile("photo.jpg")]), "photo.jpg");

const key = btoa("{{ credentials.api_id }}:{{ credentials.api_secret }}");
const response = await fetch("{{ url }}", {
  method: "POST",
  headers: { Authorization: `Basic ${key}` },
  body: form,
});

if (!response.ok) {
  const { error } = await response.json();
  throw new Error(`${error.status}/${error.code}: ${error.message}`);
}
await writeFile("cutout.png", Buffer.from(await response.arrayBuffer()));
console.log("Charged:", response.headers.get("X-Credits-Charged"));
{% endautoescape %}
