#!/usr/bin/env python3
"""Prints a bill of materials of the program: CycloneDX 1.5, every crate that is compiled into it for TARGET.

    dev/release/sbom.py TARGET

Licences come from `cargo metadata`, checksums from Cargo.lock. Crates that are used only while compiling (build scripts, macros) are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = "virpack"


def main() -> None:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", sys.argv[1]]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    sums = {(package["name"], package["version"]): package.get("checksum") for package in locked}

    (program,) = (package["id"] for package in packages.values() if package["name"] == PROGRAM)
    linked: dict[str, list[str]] = {}
    waiting = [program]
    while waiting:
        crate = waiting.pop()
        if crate in linked:
            continue
        linked[crate] = [
            dependency["pkg"]
            for dependency in nodes[crate]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and not is_macro(packages[dependency["pkg"]])
        ]
        waiting += linked[crate]

    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[program], sums)},
        "components": [component(packages[crate], sums) for crate in sorted(linked) if crate != program],
        "dependencies": [
            {"ref": reference(packages[crate]), "dependsOn": sorted(reference(packages[below]) for below in linked[crate])}
            for crate in sorted(linked)
        ],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


def is_macro(package: dict) -> bool:
    return any("proc-macro" in target["kind"] for target in package["targets"])


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, sums: dict) -> dict:
    """A crate: its name, version, licence, and the checksum of its archive where it has one."""
    entry = {
        "type": "application" if package["name"] == PROGRAM else "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
        "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}],
    }
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return entry


if __name__ == "__main__":
    main()
