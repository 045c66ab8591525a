"""Writes the text that the goldens of this folder were measured on: python faq_text.py OUT.txt

It is the prose of an English FAQ, Debian package `anarchism` (`apt-get install anarchism`), from its 200,000th character
on. The package is under the GPL, so neither the text nor its tokens are kept here. The tests run this
script themselves.
"""

import glob
import html
import re
import sys

PAGES = "/usr/share/doc/anarchism/html/*.html"
SKIPPED_CHARACTERS = 200_000


def prose(page):
    """The page's text: paragraphs apart by one blank line, no markup."""
    page = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.I | re.S)
    page = re.sub(r"</?(?:p|br|h\d|li|blockquote)[^>]*>", "\n", page, flags=re.I)
    page = html.unescape(re.sub(r"<[^>]+>", "", page))
    page = re.sub(r"[ \t]+", " ", page)
    return re.sub(r"\n\s*\n+", "\n\n", page)


if __name__ == "__main__":
    pages = []
    for path in sorted(glob.glob(PAGES)):
        with open(path, encoding="utf-8", errors="replace") as file:
            pages.append(prose(file.read()))
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("\n".join(pages)[SKIPPED_CHARACTERS:])
