// Shows the batch's page around an upload that is running.
//
// A navigation would end the upload, because File objects don't survive it, and a second tab would need a
// permission to open. So the page is fetched as any link would, and its <main> takes the place of ours: one
// document, one upload, and the batch's own script brings its tiles to life. Only a page that answers as
// expected is put in place; otherwise the person stays where they are, and gets a link once all is uploaded.

const MOST_TRIES = 100;
const LONGEST_WAIT_MS = 10_000;

export async function showBatchPage(address) {
  const page = await fetched(address);
  const main = page?.querySelector("#main");
  if (!main?.querySelector("#uploads")) return false;
  await Promise.all(missingStyles(page).map(addStyle));
  document.querySelector("#main").replaceWith(document.adoptNode(main));
  document.title = page.title;
  history.pushState(null, "", address);
  // Back means the workspace as the server has it, after a warning if the upload isn't over. A link to a part of
  // this page comes here too.
  const { pathname: here } = location;
  addEventListener("popstate", () => {
    if (location.pathname !== here) location.reload();
  });
  scrollTo(0, 0);
  globalThis.htmx?.process(main);
  for (const source of modulesOf(page)) run(source);
  return true;
}

// A module that runs already, such as ours, isn't run again. The line may be lost just now, so that a module
// can't be loaded; the page then comes to life as soon as it is back.
async function run(source) {
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    try {
      return await import(source);
    } catch {
      await new Promise((resolve) => { setTimeout(resolve, Math.min(LONGEST_WAIT_MS, tries * 1000)); });
    }
  }
  return null;
}

async function fetched(address) {
  try {
    const response = await fetch(address);
    if (!response.ok || response.redirected) return null;
    return new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return null;
  }
}

function missingStyles(page) {
  const here = new Set(Array.from(document.querySelectorAll("link[rel=stylesheet]"), ({ href }) => href));
  return Array.from(page.querySelectorAll("link[rel=stylesheet]"), (link) => absolute(link, "href")).filter((href) => !here.has(href));
}

function addStyle(href) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  return new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve);
    document.head.append(link);
  });
}

function modulesOf(page) {
  return Array.from(page.querySelectorAll("script[type=module][src]"), (script) => absolute(script, "src"));
}

function absolute(element, attribute) {
  return new URL(element.getAttribute(attribute), location.href).href;
}
