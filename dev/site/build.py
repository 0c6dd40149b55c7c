#!/usr/bin/env python3
"""Builds the documentation site from docs/ and checks every link in it.

    pip install -r dev/site/requirements.txt
    python3 dev/site/build.py [--out target/site]

OUT/pages gets the pages of docs/, those of the project that are elsewhere, and the reference that dev/site/reference.py makes; OUT/html gets the
site. Links to files that the site does not hold lead to the repository. Exits with 1 where a link leads nowhere.
"""

from __future__ import annotations

import argparse
import html.parser
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parent.parent.parent
REPOSITORY = "https://github.com/virpack/virpack/blob/main"
# Pages that are not in docs/, each with its place in the site.
OUTSIDE = {
    "ARCHITECTURE.md": "project/architecture.md",
    "BENCHMARKS.md": "project/benchmarks.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "crates/virpack-model/virpack-mini/README.md": "project/virpack-mini.md",
    "training/README.md": "project/training.md",
}
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "target/site")
    out = parser.parse_args().out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    pages = out / "pages"
    places = gather(pages)
    (pages / "reference/commands.md").write_text(reference.commands(ROOT))
    (pages / "reference/python-api.md").write_text(reference.python(ROOT))
    shutil.copy(ROOT / "dev/site/extra.css", pages)
    shutil.copy(ROOT / "dev/site/mkdocs.yml", out)
    missing = sorted(str(place) for place in places.values() if place.endswith(".md") and place not in (out / "mkdocs.yml").read_text())
    if missing:
        sys.exit(f"dev/site/mkdocs.yml lists no {', '.join(missing)}")
    subprocess.run(["zensical", "build", "--config-file", out / "mkdocs.yml"], cwd=out, check=True, stdout=subprocess.DEVNULL)
    faults = check_links(out / "html")
    print("\n".join(faults))
    count = len(list((out / "html").rglob("*.html")))
    if faults or count < 30:
        sys.exit(f"{len(faults)} links lead nowhere; {count} pages")
    print(f"{count} pages in {out / 'html'}; every link leads somewhere")


def gather(pages: Path) -> dict[str, str]:
    """Copies all pages and their pictures, and returns the place of each in the site by its path in the repository."""
    sources = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*")) if path.is_file()]
    places = {source: source.removeprefix("docs/").replace("README.md", "index.md") for source in sources}
    places |= OUTSIDE
    for card in ["calibration.svg", "record_calibration.svg"]:
        places[f"crates/virpack-model/virpack-mini/{card}"] = f"project/{card}"
    for source, place in places.items():
        target = pages / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            target.write_text(site_text((ROOT / source).read_text(), source, places))
        else:
            shutil.copy(ROOT / source, target)
    return places


def site_text(text: str, source: str, places: dict[str, str]) -> str:
    """A page as the site has it: links by the places of its pages, drawings inside the page. Blocks stay as they are."""
    folder = os.path.dirname(source)

    def link(match: re.Match[str]) -> str:
        label, target = match.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in path:
            return match[0]
        file = os.path.normpath(os.path.join(folder, path))
        anchor = f"#{anchor}" if anchor else ""
        if file not in places:
            return f"{label}({REPOSITORY}/{file}{anchor})"
        if label.startswith("!") and 'class="vp"' in (drawing := (ROOT / file).read_bytes().decode(errors="replace")):
            # Inside the page a drawing follows the theme. Markdown ends a block of HTML at an empty line.
            return "<div>" + drawing.replace("\n\n", "\n").strip() + "</div>"
        place = os.path.relpath(places[file], os.path.dirname(places[source]) or ".")
        shot = "{ .shot }" if label.startswith("!") and place.endswith(".png") else ""
        return f"{label}({place}{anchor}){shot}"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def check_links(site: Path) -> list[str]:
    """What leads nowhere, a line each: files and anchors of the site, and files of the repository. Other servers are not asked."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    faults = set()
    for path, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if link.startswith(REPOSITORY):
                file = urllib.parse.unquote(link.removeprefix(REPOSITORY + "/").split("#")[0])
                if not (ROOT / file).exists():
                    faults.add(f"{path.relative_to(site)}: {file} is not in the repository")
                continue
            # Pages for a URL that does not exist are shown anywhere, and name the site's root.
            if url.scheme or url.netloc or path.name == "404.html":
                continue
            target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                faults.add(f"{path.relative_to(site)}: {link} does not exist")
            elif url.fragment and target in pages and urllib.parse.unquote(url.fragment) not in pages[target].anchors:
                faults.add(f"{path.relative_to(site)}: {link} has no such anchor")
    return sorted(faults)


if __name__ == "__main__":
    main()
