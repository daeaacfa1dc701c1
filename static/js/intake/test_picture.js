// A free, watermarked test of one picture, which shows the exact price and what the cut-out looks like.

const LOOK_SECONDS = 1.5;
const UPLOAD_SECONDS = 1800; // the largest picture takes so long at 17 kB/s

export async function testPicture({ line, form, words }, part, { file, name }) {
  part.show("test", true);
  part.show("test-frame", false);
  part.set("test-text", words.say("testing", { name }));
  try {
    const body = new FormData();
    body.set("image", file, name);
    const { url } = await line.json(form.dataset.testPicture, { body, failures: 1, seconds: UPLOAD_SECONDS });
    const test = await finished(line, url, ({ label }) => part.set("test-text", `${name}: ${label}`));
    show(test, part, name, words);
  } catch (error) {
    part.show("test", false);
    throw error;
  }
}

async function finished(line, url, told) {
  for (;;) {
    const test = await line.json(url, { method: "GET" });
    if (test.image || ["done", "failed", "in_doubt", "cancelled"].includes(test.state)) return test;
    told(test);
    await new Promise((resolve) => { setTimeout(resolve, LOOK_SECONDS * 1000); });
  }
}

function show({ label, price, count, image }, part, name, words) {
  if (!image) return part.set("test-text", `${name}: ${label}`);
  part.set("test-text", price === null ? words.say("testedFree", { name }) : words.say("tested", { count, name, price }));
  part.slot("test-image").src = image;
  part.show("test-frame", true);
}
