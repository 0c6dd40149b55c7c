"""Pages of the reference that are made from the program: the help of every command, and every public name in Python."""

from __future__ import annotations

import tomllib
from pathlib import Path

import griffe

HELP = "crates/virpack/tests/cmd"
# As wide as the program's own help.
COLUMNS = 100
MODULES = ["virpack", "virpack.torch", "virpack.ray"]


def commands(root: Path) -> str:
    """The help of every command, from the snapshots that the tests compare with the program."""
    helps = {}
    for path in sorted((root / HELP).glob("help*.toml")):
        snapshot = tomllib.loads(path.read_text())
        name = " ".join(argument for argument in snapshot["args"] if argument not in ("--help", "help"))
        helps[name] = snapshot["stdout"].strip("\n")
        wide = [line for line in helps[name].splitlines() if len(line) > COLUMNS]
        if wide:
            raise SystemExit(f"{path}: {len(wide[0])} columns, and a terminal has {COLUMNS}: {wide[0]}")
    listed = helps[""].split("Commands:\n")[1].split("\n\n")[0]
    order = [line.split()[0] for line in listed.splitlines() if line[2] != " " and line.split()[0] != "help"]
    missing = [name for name in order if name not in helps]
    if missing:
        raise SystemExit(f"{HELP} has no help of: {', '.join(missing)}; add help_{missing[0]}.toml")
    page = ["# Commands", "", "The help of every command, as `virpack COMMAND --help` prints it.", ""]
    # In a smaller type, so that lines of 100 columns are not cut.
    page += ['<div class="help" markdown>', ""]
    for name in ["", *order]:
        page += [f"## {('virpack ' + name).strip()}", "", "```text", helps[name], "```", ""]
        for below in sorted(other for other in helps if other.startswith(f"{name} ") and name):
            page += [f"### virpack {below}", "", "```text", helps[below], "```", ""]
    page += ["</div>", ""]
    return "\n".join(page)


def python(root: Path) -> str:
    """Every public name of the package: its signature and docstring."""
    package = griffe.load("virpack", search_paths=[str(root / "python")], resolve_aliases=True)
    page = ["# Python functions", "", "Made from the package. [The guide](python.md) has examples.", ""]
    for module in MODULES:
        place = package if module == "virpack" else package[module.removeprefix("virpack.")]
        page += [f"## {module}", ""]
        names = [name for name in place.members if public(place, name)]
        for name in sorted(names, key=str.lower):
            page += described(place[name], f"{module}.{name}", 3)
    return "\n".join(page)


def public(place: griffe.Object, name: str) -> bool:
    member = place[name]
    if name.startswith("_") or (member.is_alias and not member.target_path.startswith("virpack.")):
        return False
    target = member.final_target if member.is_alias else member
    return target.is_class or target.is_function


def described(member: griffe.Object, path: str, level: int) -> list[str]:
    target = member.final_target if member.is_alias else member
    short = path.rsplit(".", 1)[1]
    lines = [f"{'#' * level} {short}", ""]
    if target.is_function:
        lines += signature(target, path)
    lines += docstring(target)
    if target.is_class:
        methods = [m for name, m in target.members.items() if not name.startswith("_") or name in ("__init__", "__call__", "__iter__")]
        for method in methods:
            if method.is_function:
                lines += [f"**`{short}.{method.name}`**", "", *signature(method, f"{short}.{method.name}"), *docstring(method)]
            elif method.is_attribute and method.docstring:
                lines += [f"**`{short}.{method.name}`**: {method.docstring.value.splitlines()[0]}", ""]
    return lines


def signature(function: griffe.Function, path: str) -> list[str]:
    """A call with one argument a line, where it is long."""
    parts, star = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not star:
            parts.append("*")
            star = True
        mark = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(parameter.kind, "")
        star = star or mark == "*"
        text = f"{mark}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not mark:
            text += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        parts.append(text)
    returned = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{path}({', '.join(parts)}){returned}"
    if len(line) > 96:
        line = "\n".join([f"{path}(", *[f"    {part}," for part in parts], f"){returned}"])
    return ["```python", line, "```", ""]


def docstring(member: griffe.Object) -> list[str]:
    if member.docstring is None:
        return []
    lines: list[str] = []
    for section in griffe.parse_numpy(member.docstring, warnings=False):
        kind = section.kind.value
        if kind == "text":
            lines += [section.value.replace("``", "`"), ""]
        elif kind in ("parameters", "attributes", "returns", "yields", "raises"):
            lines += ["| " + kind + " | |", "| --- | --- |"]
            for item in section.value:
                name = getattr(item, "name", "") or str(item.annotation or "")
                text = " ".join(item.description.split()).replace("``", "`").replace("|", "\\|")
                lines.append(f"| `{name}` | {text} |")
            lines.append("")
        elif kind == "examples":
            for _, text in section.value:
                lines += ["```python", text, "```", ""]
    return lines
