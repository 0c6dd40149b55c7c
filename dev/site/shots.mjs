// Takes screenshots of the documentation site, or draws the pictures that it shows.
//
//     node dev/site/shots.mjs site DIRECTORY PAGE...     each page of target/site/html: light, dark, and as wide as a phone
//     node dev/site/shots.mjs page FILE.html OUT.png [WIDTHxHEIGHT] [light|dark]    the beginning of one page, for docs/images/
//     node dev/site/shots.mjs body FILE.html OUT.png     a page as large as what it holds
//
// CHROMIUM names the browser. playwright-core is that of tests/browser: `npm --prefix tests/browser ci` installs it.
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { chromium } = createRequire(new URL("../../tests/browser/package.json", import.meta.url))("playwright-core");
const LOOKS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
};

const [kind, first, ...rest] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--allow-file-access-from-files"] });

/** Opens a page, and fails by what it asks of other servers, or where it is wider than the screen. */
async function open(file, look) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  page.on("request", (request) => {
    if (/^https?:/.test(request.url()) && !request.url().startsWith("https://api.github.com/")) throw new Error(`${file} asks for ${request.url()}`);
  });
  await page.goto(`file://${resolve(file)}`);
  await page.waitForTimeout(300);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (wide > 0) throw new Error(`${file} is ${wide} pixels wider than a screen of ${look.viewport.width}`);
  return page;
}

if (kind === "site") {
  for (const name of rest) {
    for (const [look, options] of Object.entries(LOOKS)) {
      const page = await open(`target/site/html/${name}`, options);
      await page.screenshot({ path: `${first}/${name.replaceAll("/", "_").replace(".html", "")}_${look}.png` });
      await page.context().close();
    }
  }
} else if (kind === "page") {
  const [out, size = "1100x760", colorScheme = "light"] = rest;
  const [width, height] = size.split("x").map(Number);
  const page = await open(first, { viewport: { width, height }, colorScheme });
  await page.screenshot({ path: out });
} else if (kind === "body") {
  const page = await open(first, { viewport: { width: 1100, height: 760 } });
  await page.locator("body").screenshot({ path: rest[0] });
} else {
  throw new Error("first argument: site, page or body");
}
await browser.close();
