// A list of addresses, whose pictures the server fetches in the background.

import { addressesOf, uuid } from "./addresses.js";
import { answer, dialogOf } from "./parts.js";

export async function fetchAddresses({ line, words, form }) {
  const dialog = dialogOf(document, "urls");
  const id = uuid(); // once, so that a repeated request doesn't begin a second batch
  const batch = addressesOf(form.dataset.batches, id);
  let begun = false;
  dialog.set("error", "");
  while (await answer(dialog)) {
    const outcome = await send(line, form, batch, id, dialog.slot("urls").value.trim());
    begun ||= outcome.added > 0;
    const { invalid = [] } = outcome;
    if (begun && invalid.length === 0 && !outcome.error) break;
    // What is left in the field are the lines that can still be mended.
    if (outcome.added) dialog.slot("urls").value = invalid.join("\n");
    dialog.set("error", textOf(outcome, words));
  }
  if (begun) location.assign(batch.batch);
}

async function send(line, form, batch, id, urls) {
  if (!urls) return { error: "noAddresses" };
  try {
    await line.send(form.dataset.batches, { json: { id, name: "" } });
    const body = new FormData();
    body.set("urls", urls);
    return await line.json(batch.urls, { body });
  } catch ({ message }) {
    return message ? { message, error: "refused" } : { error: "wentWrong" };
  }
}

function textOf({ message, error, added, invalid = [] }, words) {
  if (message || error) return message || words.say(error);
  const text = words.say("invalidAddresses", { count: invalid.length });
  return added ? `${words.say("addressesAdded", { count: added })} ${text}` : `${text} ${invalid.join(", ")}`;
}
