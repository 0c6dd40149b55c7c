// Opens reports in a headless browser and uses them as a reader would.
//
//     npm test -- [--screenshots DIRECTORY] REPORT=EXPECTED... PAGE...
//
// REPORT is a report.html and EXPECTED the JSON of what it must show, or the run's sequences.tsv. PAGE is one without script:
// a comparison, or that of `embed`. CHROMIUM names the browser.
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { chromium } from "playwright-core";
import { expected } from "./expected.mjs";

const MOST_BYTES = 5_000_000;
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

/** A page that fails the test by a message, a request or a dialog. */
async function open(browser, file, { before, ...options } = {}) {
  const context = await browser.newContext({ viewport: SIZES.desktop, permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`); });
  page.on("pageerror", (error) => faults.push(`exception: ${error.stack}`));
  page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith("file:") || request.isNavigationRequest() === false) faults.push(`request: ${request.url()}`); });
  const began = performance.now();
  if (before) await page.addInitScript(before);
  await page.goto(`file://${resolve(file)}`);
  if (options.javaScriptEnabled !== false) await page.waitForSelector("html[data-ready], html[data-failed]", { timeout: 20_000 });
  return { page, faults, seconds: (performance.now() - began) / 1000, close: () => context.close() };
}

const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const sorted = (list, order) => [...list].sort(order);
const ids = (page) => page.$$eval("#table tbody tr td.id > :first-child", (nodes) => nodes.map((node) => node.textContent));
const column = (page, n) => page.$$eval(`#table tbody tr td:nth-child(${n})`, (nodes) => nodes.map((node) => node.textContent));
const found = (page) => page.textContent("#found");

/** The table has settled when it shows what the count says. */
async function until(page, text) {
  await page.waitForFunction((text) => document.getElementById("found").textContent.startsWith(text), text, { timeout: 5000 });
}

async function slides(page, want, complete = true) {
  for (const line of [0, 1, 350, 500, 700, 701, 950, 1000]) {
    await page.$eval("#threshold", (slider, line) => { slider.value = line; slider.dispatchEvent(new Event("input")); }, line);
    const shown = await page.$eval("#threshold-text", (text) => ({ records: Number(text.dataset.records), bases: Number(text.dataset.bases), text: text.textContent }));
    const right = want.above(line / 1000);
    assert.deepEqual([shown.records, shown.bases], [right.records, right.bases], `records and bases at ${line / 1000}`);
    assert(shown.text.includes(`${thousands(right.records)} viral record`) && shown.text.includes(`${thousands(right.bases)} base`), shown.text);
    const at = await page.getAttribute("[data-line]", "x1");
    assert.equal(Number.parseFloat(at), line / 10);
  }
  const command = await page.textContent("#threshold-command");
  assert(command.endsWith("--min-score 1") && command.startsWith("virpack report "), command);
  if (!complete) return;
  // The table follows the line.
  await page.selectOption("#call", "v");
  await page.$eval("#threshold", (slider) => { slider.value = 300; slider.dispatchEvent(new Event("input")); });
  const many = want.above(0.3).records;
  await until(page, many === want.records ? `${thousands(many)} record` : `${thousands(many)} of ${thousands(want.records)}`);
  await page.click("#threshold-reset");
  await page.selectOption("#call", "");
  await until(page, `${thousands(want.records)} record`);
}

async function sorts(page, want) {
  const number = (text) => Number(text.replaceAll(",", ""));
  await page.click('th[data-key="length"] button');
  assert.equal(await page.getAttribute('th[data-key="length"]', "aria-sort"), "descending");
  assert.deepEqual((await column(page, 4)).map(number), sorted(want.lengths, (a, b) => b - a).slice(0, 50));
  await page.click('th[data-key="length"] button');
  assert.deepEqual((await column(page, 4)).map(number), sorted(want.lengths, (a, b) => a - b).slice(0, 50));
  await page.click('th[data-key="id"] button');
  assert.deepEqual(await ids(page), sorted(want.ids).slice(0, 50));
  await page.click('th[data-key="score"] button');
  const scores = sorted(want.scores.filter((score) => score !== null), (a, b) => b - a).slice(0, 50);
  assert.deepEqual((await column(page, 3)).filter((text) => text !== "–"), scores.map((score) => score.toFixed(3)));
}

async function searches(page, want) {
  const word = want.ids[Math.floor(want.ids.length / 3)];
  const fitting = want.ids.filter((id, i) => `${id} ${want.descriptions[i]}`.toLowerCase().includes(word.toLowerCase()));
  await page.fill("#search", word.toUpperCase());
  await until(page, `${thousands(fitting.length)} of ${thousands(want.records)}`);
  assert.deepEqual(sorted(await ids(page)), sorted(fitting).slice(0, 50));
  await page.click("#copy");
  assert.deepEqual(sorted((await page.evaluate(() => navigator.clipboard.readText())).split("\n")), sorted(fitting));
  await page.fill("#search", "no record has this");
  await until(page, "0 of ");
  await page.fill("#search", "");
  const least = sorted(want.lengths, (a, b) => a - b)[Math.floor(want.lengths.length / 2)] + 1;
  const long = want.lengths.filter((length) => length >= least).length;
  await page.fill("#least", String(least));
  await until(page, `${thousands(long)} of `);
  await page.fill("#least", "");
  await until(page, `${thousands(want.records)} record`);
}

async function turns(page, want) {
  const first = await ids(page);
  assert.equal(first.length, Math.min(50, want.records));
  assert.equal(await page.isDisabled("#previous"), true);
  if (want.records <= 50) return assert.equal(await page.isDisabled("#next"), true);
  await page.click("#next");
  const second = await ids(page);
  assert.notDeepEqual(first, second);
  assert.equal(second.length, Math.min(50, want.records - 50));
  await page.click("#previous");
  assert.deepEqual(await ids(page), first);
}

/** What the page says before any script has run, with the numbers of the records. */
async function reads(browser, file, want) {
  const { page, faults, close } = await open(browser, file, { javaScriptEnabled: false });
  for (const [call, count] of Object.entries(want.calls)) {
    assert.equal(await page.textContent(`[data-count="${call}"]`), thousands(count), `${call} records without script`);
  }
  assert.equal((await ids(page)).length, Math.min(200, want.records));
  for (const id of ["threshold", "search", "next"]) assert.equal(await page.isVisible(`#${id}`), false, `#${id} without script`);
  assert.equal(await page.isVisible("#scatter circle"), want.scores.some((score) => score !== null));
  for (const heading of ["Summary", "Scores", "Records", "What was not judged", "Run", "Methods, for a paper", "Glossary"]) {
    assert.equal(await page.isVisible(`h2:text-is("${heading}")`), true, heading);
  }
  assert.deepEqual(faults, []);
  await close();
}

/** A browser that cannot unpack the data keeps the page as it came, and reads why. */
async function old(browser, file, want) {
  const { page, faults, close } = await open(browser, file, { before: () => { delete globalThis.DecompressionStream; } });
  assert.equal(await page.isVisible('p:has-text("This browser cannot unpack the table")'), true);
  assert.equal((await ids(page)).length, Math.min(200, want.records));
  for (const id of ["threshold", "search", "next"]) assert.equal(await page.isVisible(`#${id}`), false, `#${id} without data`);
  assert.deepEqual(faults, []);
  await close();
}

/** A record's link opens its track. */
async function links(page) {
  const link = page.locator("#table tbody a[href^='#track-']").last();
  const track = page.locator(await link.getAttribute("href"));
  const details = track.locator("xpath=..");
  await details.evaluate((node) => { node.open = false; });
  assert.equal(await track.isVisible(), false);
  await link.click();
  await track.waitFor({ state: "visible", timeout: 5000 });
}

/** Nothing that came from the input became markup. A page may link to others by relative paths, as comparisons do. */
async function harmless(page, scripts, links) {
  const markup = await page.evaluate(() => ({
    images: document.images.length,
    handlers: [...document.querySelectorAll("*")].filter((node) => [...node.attributes].some((a) => a.name.startsWith("on"))).length,
    scripts: document.scripts.length,
    frames: document.querySelectorAll("iframe, object, embed, base, link, form[action]").length,
    targets: [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")).filter((href) => !/^(#|https:\/\/(doi|arxiv)\.org\/)/.test(href)),
  }));
  markup.targets = markup.targets.filter((href) => !links.test(href));
  assert.deepEqual(markup, { images: 0, handlers: 0, scripts, frames: 0, targets: [] });
}

/** A table that cannot hold all records says so, and the counts are still those of all. */
async function abridged(browser, file, want) {
  const { page, faults, close } = await open(browser, file);
  const kept = Number(/\(the table holds the ([\d,]+) best\)/.exec(await found(page))?.[1].replaceAll(",", ""));
  assert(kept > 1000 && kept < want.records, await found(page));
  await slides(page, want, false);
  const scores = sorted(want.scores.filter((score) => score !== null), (a, b) => b - a);
  await page.click('th[data-key="score"] button');
  assert.equal((await column(page, 3))[0], scores[kept - 1].toFixed(3), "the lowest score of the table");
  const [id] = await ids(page);
  const link = await page.$eval("#table tbody tr", (row) => row.cells[0].firstChild.tagName);
  assert(want.ids.includes(id) && link === "SPAN");
  assert.deepEqual(faults, []);
  await close();
}

async function pictures(browser, file, directory, name, options = {}) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      // Without pictures two of the four are enough.
      if (!directory && (size === "phone") !== (colorScheme === "dark")) continue;
      const { page, faults, close } = await open(browser, file, { viewport, colorScheme, ...options });
      const [content, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert(content <= room, `${name}: ${content} pixels of content on a ${size} screen of ${room}`);
      if (directory) await page.screenshot({ path: `${directory}/${name}_${size}_${colorScheme}.png`, clip: { x: 0, y: 0, ...viewport, height: 4000 }, fullPage: true });
      assert.deepEqual(faults, []);
      await close();
    }
  }
}

/** A page without script: whole, harmless, and no wider than the screen. */
async function still(browser, file, directory, name) {
  const { page, faults, close } = await open(browser, file, { javaScriptEnabled: false });
  assert.equal(await page.isVisible("h1"), true);
  assert((await page.locator("svg").count()) > 0, "no picture");
  await harmless(page, 0, /^[^:]*\/report\.html$/);
  assert.deepEqual(faults, []);
  await close();
  await pictures(browser, file, directory, name, { javaScriptEnabled: false });
  console.log(`${file}: ${thousands(statSync(file).size)} bytes, without script`);
}

async function main() {
  const rest = process.argv.slice(2);
  const directory = rest[0] === "--screenshots" ? rest.splice(0, 2)[1] : null;
  assert(rest.length, "name a page");
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  for (const [n, pair] of rest.entries()) {
    const [file, json] = pair.split("=");
    if (!json) {
      await still(browser, file, directory, `page${n + 1}`);
      continue;
    }
    const bytes = statSync(file).size;
    assert(bytes < MOST_BYTES, `${file} has ${bytes} bytes, more than ${MOST_BYTES}`);
    assert(!/\b(?:src|href)="?https?:(?!\/\/(?:doi|arxiv)\.org)/.test(readFileSync(file, "utf8")), "the page names another site");
    const want = expected(json);
    const { page, faults, seconds, close } = await open(browser, file);
    await harmless(page, 2, /^$/);
    if (/the table holds/.test(await found(page))) {
      await close();
      await abridged(browser, file, want);
      await reads(browser, file, want);
      console.log(`${file}: ${thousands(want.records)} records, ${thousands(bytes)} bytes, ready in ${seconds.toFixed(1)} s: a part of the records, reported`);
      continue;
    }
    await slides(page, want);
    await sorts(page, want);
    await searches(page, want);
    await turns(page, want);
    await links(page);
    await harmless(page, 2, /^$/);
    assert.deepEqual(faults, []);
    await close();
    await reads(browser, file, want);
    await old(browser, file, want);
    await pictures(browser, file, directory, `report${n + 1}`);
    console.log(`${file}: ${thousands(want.records)} records, ${thousands(bytes)} bytes, ready in ${seconds.toFixed(1)} s: slider, order, search, pages and copying are right, and it reads without script`);
  }
  await browser.close();
}

await main();
