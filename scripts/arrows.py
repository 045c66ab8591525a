#!/usr/bin/env python3
"""Proves that arrows point one way: crates depend downwards alone, and no files of a crate import each other in a circle.

Reads `Cargo.toml` and the imports of every source file; tests are left out. A module that names its parts (`mod part;`,
`pub use part::Thing;`) does not import them: whoever takes `Thing` from it imports the part.

    scripts/arrows.py           exits with 1 and names each circle and each forbidden arrow
    scripts/arrows.py --print   prints the arrows of files, too
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Folder of each crate, and the crates of this workspace that it may depend on.
CRATES = {
    "models": [],
    "runtime": ["models"],
    "analysis": [],
    "train": ["runtime"],
    ".": ["runtime", "analysis", "train"],
    "gui": [".", "analysis"],
    "tests": [".", "analysis", "runtime"],
}


def without_comments(text):
    """`text` without comments, contents of strings, and modules of tests."""
    pattern = r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\''
    text = re.sub(pattern, lambda found: '""' if '"' in found[0][:3] else " ", text, flags=re.S)
    while found := re.search(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*(\{|;)", text):
        end, depth = found.end(), 1 if found[1] == "{" else 0
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: found.start()] + text[end:]
    return text


def leaves(tree, prefix=()):
    """Paths of a `use` tree, as (path, name in this file)."""
    tree = tree.strip()
    if found := re.fullmatch(r"((?:[\w]+::)*)\{(.*)\}", tree, flags=re.S):
        prefix = prefix + tuple(part for part in found[1].split("::") if part)
        depth, part = 0, ""
        for letter in found[2] + ",":
            depth += {"{": 1, "}": -1}.get(letter, 0)
            if letter == "," and depth == 0:
                if part.strip():
                    yield from leaves(part, prefix)
                part = ""
            else:
                part += letter
        return
    path, _, name = tree.partition(" as ")
    path = prefix + tuple(part for part in path.strip().split("::") if part)
    if path and path[-1] == "self":
        path = path[:-1]
    if path:
        yield path, name.strip() or path[-1]


class Crate:
    """The modules of a crate, and what each imports."""

    def __init__(self, source):
        self.files = {}
        for file in sorted(source.rglob("*.rs")):
            parts = file.relative_to(source).with_suffix("").parts
            if parts[-1] in ("mod", "lib", "main"):
                parts = parts[:-1]
            self.files.setdefault(parts, file)
        self.text = {module: without_comments(file.read_text()) for module, file in self.files.items()}
        # Dropped: files that `without_comments` has cut out of their parent, because they are tests.
        declared = {()}
        for module, text in self.text.items():
            declared |= {(*module, name) for name in re.findall(r"\bmod\s+(\w+)\s*;", text)}
        self.files = {module: file for module, file in self.files.items() if module in declared}
        self.names = {}
        for module in self.files:
            for is_public, path, name in self.uses(module):
                if is_public:
                    self.names[(*module, name)] = path

    def uses(self, module):
        for found in re.finditer(r"(pub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);", self.text[module]):
            for path, name in leaves(found[2]):
                absolute = self.absolute(module, path)
                if absolute is not None:
                    yield bool(found[1]), absolute, name

    def absolute(self, module, path):
        """`path` as written in `module`, from the root of the crate; `None` for other crates."""
        if path[0] == "crate":
            return path[1:]
        if path[0] == "self":
            return module + path[1:]
        if path[0] == "super":
            up = 0
            while up < len(path) and path[up] == "super":
                up += 1
            return module[: len(module) - up] + path[up:] if up <= len(module) else None
        return module + path if (*module, path[0]) in self.files else None

    def file_of(self, path):
        """The module in whose file `path` is defined."""
        for _ in range(20):
            for length in range(len(path), 0, -1):
                if path[:length] in self.names and path[:length] not in self.files:
                    path = self.names[path[:length]] + path[length:]
                    break
            else:
                break
        for length in range(len(path), -1, -1):
            if path[:length] in self.files:
                return path[:length]
        return ()

    def arrows(self):
        """module → {module: names}"""
        arrows = {module: {} for module in self.files}
        for module, text in self.text.items():
            if module not in self.files:
                continue
            body = re.sub(r"\b(?:use|mod)\s+[^;{]+(?:\{[^;]*\})?;", "", text)
            # What is only passed on is not imported.
            paths = [
                path
                for is_public, path, name in self.uses(module)
                if not is_public or re.search(rf"\b{name}\b", body)
            ]
            for found in re.finditer(r"\b(?:crate|super|self)(?:::\w+)+", body):
                path = self.absolute(module, tuple(found[0].split("::")))
                if path is not None:
                    paths.append(path)
            for found in re.finditer(r"(?<![\w:])([a-z_]\w*)(?:::\w+)+", body):
                path = tuple(found[0].split("::"))
                if (*module, path[0]) in self.files:
                    paths.append(module + path)
            for path in paths:
                target = self.file_of(path)
                # The root of a crate only names its parts.
                if target not in (module, ()):
                    arrows[module].setdefault(target, set()).add(path[-1])
        return arrows


def circles(arrows):
    """Strongly connected components of more than one module (Tarjan 1972, by two passes over the graph)."""
    order, seen = [], set()

    def visit(start, edges, found):
        stack = [(start, iter(edges(start)))]
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            for target in rest:
                if target not in seen:
                    seen.add(target)
                    stack.append((target, iter(edges(target))))
                    break
            else:
                stack.pop()
                found.append(node)

    for module in arrows:
        if module not in seen:
            visit(module, lambda m: arrows[m], order)
    back = {module: [] for module in arrows}
    for module, targets in arrows.items():
        for target in targets:
            back[target].append(module)
    seen.clear()
    for module in reversed(order):
        if module not in seen:
            found = []
            visit(module, lambda m: back[m], found)
            if len(found) > 1:
                yield sorted(found)


def main():
    faults = 0
    names = {}
    manifests = {}
    for folder in CRATES:
        manifests[folder] = tomllib.loads((ROOT / folder / "Cargo.toml").read_text())
        names[manifests[folder]["package"]["name"]] = folder
    for folder, manifest in manifests.items():
        for dependency in manifest.get("dependencies", {}):
            if dependency in names and names[dependency] not in CRATES[folder]:
                print(f"{folder}: depends on {dependency}, which no arrow allows")
                faults += 1
    for folder in CRATES:
        crate = Crate(ROOT / folder / "src")
        arrows = crate.arrows()
        name = lambda module: str(crate.files[module].relative_to(ROOT))
        if "--print" in sys.argv:
            for module, targets in arrows.items():
                for target, what in sorted(targets.items()):
                    print(f"{name(module)} -> {name(target)}: {', '.join(sorted(what))}")
        for circle in circles(arrows):
            faults += 1
            print(f"circle of {len(circle)} files in {folder}:")
            for module in circle:
                for target, what in sorted(arrows[module].items()):
                    if target in circle:
                        print(f"  {name(module)} -> {name(target)}: {', '.join(sorted(what))}")
    if faults == 0:
        print(f"arrows: {len(CRATES)} crates, no circle")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
