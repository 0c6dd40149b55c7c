#!/usr/bin/env bash
# Makes reports of 7 and of 100,000 records, some with ids meant to break a page, and of ids that hardly compress, and opens them in
# a browser with a comparison and a page of `embed`. A test of virpack-core writes the pages.
set -euo pipefail
cd "$(dirname "$0")/../.."
export VIRPACK_BROWSER_PAGES="$PWD/target/browser"
rm -rf "$VIRPACK_BROWSER_PAGES"

# With all crates, as other tests are built: for one alone dependencies have other features, and would be built again.
cargo test --workspace --lib --locked --quiet write_pages_for_the_browser -- --ignored
npm --prefix tests/browser ci --silent --no-audit --no-fund

cd "$VIRPACK_BROWSER_PAGES"
pages=()
for name in few many abridged; do pages+=("$PWD/$name.html=$PWD/$name.json"); done
npm --prefix ../../tests/browser test --silent -- "${pages[@]}" "$PWD/compare.html" "$PWD/embed.html"
