// Writes README as GitHub shows it: its style, and a column of its width.
//
//     node dev/site/readme.mjs OUT.html
//
// Needs marked and github-markdown-css beside it: dev/site/pictures.sh installs them into target/pictures/.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const require = createRequire(`${root}target/pictures/package.json`);
const { marked } = await import(require.resolve("marked"));
const style = readFileSync(require.resolve("github-markdown-css/github-markdown-light.css"), "utf8");
const body = marked.parse(readFileSync(`${root}README.md`, "utf8"), { gfm: true });
writeFileSync(
  process.argv[2],
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>virpack</title><base href="file://${root}">
<style>${style} body { margin: 0; } .markdown-body { max-width: 838px; margin: 0 auto; padding: 24px 32px; }</style>
<article class="markdown-body">${body}</article></html>`,
);
