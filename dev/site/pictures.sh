#!/usr/bin/env bash
# Draws the pictures of docs/images/: run it where the built-in model, the report, the progress or the site has changed, and look at them.
#   dev/site/pictures.sh [report | terminal | readme | site]...     all by default
# VIRPACK names the program, CHROMIUM the browser, PYTHON a Python with `pip install pyte pillow -r dev/site/requirements.txt`.
set -euo pipefail
cd "$(dirname "$0")/../.."
virpack=$(realpath "${VIRPACK:-target/release/virpack}")
python=${PYTHON:-python3}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
shots() { node dev/site/shots.mjs "$@"; }
[ -d tests/browser/node_modules ] || npm --prefix tests/browser ci --silent --no-audit --no-fund

report() {
    "$virpack" predict examples/metagenome.fasta -o "$out/verdicts" --quiet
    shots page "$out/verdicts/report.html" docs/images/report.png
}

terminal() {
    rm -rf "$out/verdicts"
    # Four times as many records, so that the bars are seen.
    for sample in 1 2 3 4; do sed "s/^>/>sample$sample./" examples/metagenome.fasta; done >"$out/contigs.fasta"
    (cd "$out" && "$python" "$OLDPWD/dev/site/terminal.py" "$out/terminal.html" 'protein on device' "$virpack" predict contigs.fasta -o verdicts)
    shots body "$out/terminal.html" docs/images/terminal.png
}

readme() {
    mkdir -p target/pictures
    [ -d target/pictures/node_modules/marked ] ||
        npm --prefix target/pictures install --silent --no-audit --no-fund marked@16 github-markdown-css@5
    node dev/site/readme.mjs "$out/readme.html"
    shots page "$out/readme.html" docs/images/readme.png 1000x1000
}

site() {
    "$python" dev/site/build.py
    shots page target/site/html/index.html docs/images/site.png 1280x900
    page=target/site/html/tutorials/metagenome.html
    shots page "$page" docs/images/tutorial.png 1280x900
    shots page "$page" docs/images/tutorial-dark.png 1280x900 dark
    shots page "$page" docs/images/tutorial-phone.png 390x844
}

(($#)) || set -- report terminal readme site
for picture; do "$picture"; done
# 128 colours are enough for these pages, and make smaller files.
"$python" - docs/images/*.png <<'EOF'
import sys
from PIL import Image
for path in sys.argv[1:]:
    image = Image.open(path)
    if image.mode != "P":
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
EOF
for picture in docs/images/*.png; do
    [ "$(stat -c %s "$picture")" -le 150000 ] || { echo "$picture is larger than 150 kB" >&2; exit 1; }
done
