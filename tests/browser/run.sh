#!/usr/bin/env bash
# Makes reports of the README's example, of 100,000 records and of ids that hardly compress, and opens them in a browser.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=target/browser
virpack=${VIRPACK:-target/install/bin/virpack}
mkdir -p "$out"

python3 -m venv "$out/python"
python=$out/python/bin/python
"$python" -m pip install --quiet --disable-pip-version-check minijinja==3.1.0 numpy
npm --prefix tests/browser ci --silent --no-audit --no-fund

"$virpack" predict examples/metagenome.fasta -o "$out/example" --quiet --force
"$virpack" embed examples/proteins.fasta -o "$out/proteins.npy" --quiet --force
"$python" tests/browser/make_run.py "$out/many"
"$python" tests/browser/make_run.py "$out/hashes" 100000 hashes
for run in example many hashes; do "$python" dev/report_preview.py "$out/$run.html" "$out/$run"; done
"$python" dev/report_preview.py "$out/compare.html" "$out/example" "$out/many"
"$python" dev/embed_preview.py "$out/embed.html" "$out/proteins.npy"

pages=()
for run in example many hashes; do pages+=("$PWD/$out/$run.html=$PWD/$out/$run.tables"); done
npm --prefix tests/browser test --silent -- "${pages[@]}" "$PWD/$out/compare.html" "$PWD/$out/embed.html"
