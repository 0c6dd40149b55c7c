"""The Galaxy tool of examples/clusters without Galaxy: its lint, and its tests by the command that Galaxy would run.

    python tests/galaxy/check.py        # a Python that has planemo; VIRPACK is the program (target/debug/virpack)

Galaxy fills the command's template with the parameters of each test, runs it in a directory of its own, and checks the outputs by
the test's assertions. This does the same by the packages that Galaxy does it with, Cheetah and galaxy-tool-util.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from Cheetah.Template import Template
from galaxy.tool_util.parser import get_tool_source
from galaxy.tool_util.verify.asserts import verify_assertions
from lxml import etree

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "examples" / "clusters" / "galaxy" / "virpack_predict.xml"
VIRPACK = Path(os.environ.get("VIRPACK", ROOT / "target" / "debug" / "virpack")).resolve()


def lint() -> None:
    """Fails at warnings too."""
    command = [Path(sys.executable).with_name("planemo"), "lint", "--fail_level", "warn", TOOL]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "HOME": home})
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)


def defaults(root: etree._Element) -> dict[str, str | None]:
    """The tool's parameters as a form that nobody has touched has them."""
    found = {}
    for param in root.iterfind("inputs//param"):
        name = param.get("name") or param.get("argument").lstrip("-").replace("-", "_")
        found[name] = param.get("value", "" if param.get("optional") == "true" else None)
    return found


def run(root: etree._Element, test: dict, directory: Path) -> None:
    """Runs a test of the tool; raises if an output is not as it says."""
    given = {param["name"]: param["value"] for param in test["inputs"]}
    values = {**defaults(root), **given}
    values["input"] = str(ROOT / "examples" / given["input"])
    command = str(Template(root.findtext("command"), searchList=[values]))
    environment = {**os.environ, "PATH": f"{VIRPACK.parent}:{os.environ['PATH']}", "GALAXY_SLOTS": "2"}
    subprocess.run(["bash", "-euc", " ".join(command.split())], cwd=directory, env=environment, check=True)
    more = values["more"] or None
    outputs = {
        data.get("name"): directory / data.get("from_work_dir")
        for data in root.iterfind("outputs/data")
        if all(eval(rule.text, {"more": more}) for rule in data.iterfind("filter"))
    }
    assert len(outputs) == int(test["expect_num_outputs"]), outputs
    for output in test["outputs"]:
        written = outputs[output["name"]].read_bytes()
        verify_assertions(written, output["attributes"]["assert_list"], decompress=False)
    for path in outputs.values():
        assert path.stat().st_size > 0, path


def main() -> None:
    lint()
    source = get_tool_source(str(TOOL))
    root = source.xml_tree.getroot()
    tests = source.parse_tests_to_dict()["tests"]
    assert len(tests) == 2
    for number, test in enumerate(tests):
        with tempfile.TemporaryDirectory() as directory:
            run(root, test, Path(directory))
            if number == 0:
                table = ROOT / "tests" / "clusters" / "readme_table.sh"
                subprocess.run([table, Path(directory) / "verdicts"], check=True)
    print(f"the Galaxy tool's {len(tests)} tests gave what they say, the first one README's table")


if __name__ == "__main__":
    main()
