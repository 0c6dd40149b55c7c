#!/usr/bin/env bash
# Opens reports in a browser: those of README's example and of `embed`, which the program writes, and a comparison; and reports of 7 and
# of 100,000 records, some with ids meant to break a page, and of ids that hardly compress, which a test of virpack-core writes.
set -euo pipefail
cd "$(dirname "$0")/../.."
export VIRPACK_BROWSER_PAGES="$PWD/target/browser"
rm -rf "$VIRPACK_BROWSER_PAGES"

# With all crates, as other tests are built: for one alone dependencies have other features, and would be built again.
cargo test --workspace --lib --locked --quiet write_pages_for_the_browser -- --ignored
# README's test command builds the program; VIRPACK names another one.
virpack=${VIRPACK:-target/debug/virpack}
[[ -x $virpack ]] || cargo build --workspace --locked --quiet
"$virpack" predict examples/metagenome.fasta -o "$VIRPACK_BROWSER_PAGES/example" --quiet
"$virpack" embed examples/proteins.fasta -o "$VIRPACK_BROWSER_PAGES/proteins.npy" --report --quiet
npm --prefix tests/browser ci --silent --no-audit --no-fund

cd "$VIRPACK_BROWSER_PAGES"
pages=()
for name in few many abridged; do pages+=("$PWD/$name.html=$PWD/$name.json"); done
pages+=("$PWD/example/report.html=$PWD/example/sequences.tsv" "$PWD/compare.html" "$PWD/embed.html" "$PWD/proteins.npy.report.html")
npm --prefix ../../tests/browser test --silent -- "${pages[@]}"
