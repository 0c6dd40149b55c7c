#!/usr/bin/env bash
# Draws docs/images/report.png, the report of README's example as a browser shows it: run it where the built-in model or the report has changed.
# VIRPACK names the program, CHROMIUM the browser.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"${VIRPACK:-target/release/virpack}" predict examples/metagenome.fasta -o "$out/verdicts" --quiet
[ -d tests/browser/node_modules ] || npm --prefix tests/browser ci --silent --no-audit --no-fund
node dev/site/shots.mjs report "$out/verdicts/report.html" docs/images/report.png
