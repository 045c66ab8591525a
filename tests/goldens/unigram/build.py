"""SentencePiece unigram vocabularies (`NAME.model.gz`), trained here, and the ids that the sentencepiece library gives to texts (`cases.json.gz`).

    python build.py        # sentencepiece 0.2.3; seconds

Between them: the normalizers `nmt_nfkc`, `nfkc`, `nmt_nfkc_cf`, a table of rules of its own and none; spaces removed or kept; bytes for
characters without a piece, or one unknown token for a run of them; user-defined pieces; pieces that are not in use.
"""
import gzip
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protobuf

HERE = pathlib.Path(__file__).parent
SAMPLE = (HERE / "../../../runtime/assets/text/sample.txt").read_text()


def texts(rng):
    found = ["", "a", " ", "   ", "Hello world", " Hello", "Hello ", "  Hello   world  ", "It's 1984, and they'll pay 12,345.67 for 3 cats!"]
    found += ["naïve café 日本語 🦀 ½ x²", "  Two  spaces\n\n\tand tabs\r\n end ", "▁ is a character, too▁▁", "ｆｕｌｌ　width", "ﬁ ﬂ ﷺ ㍿ ①②③"]
    found += ["e\u0301 a\u0308o\u0308 \u1100\u1161\u11a8 가", "\u200b\u200d\ufeff\u00ad\u0000\u0001 x", "İstanbul STRASSE ẞ ǅ", "\u2028\u2029\x85\x0b\x0c"]
    found += ["def f(x):\n    if x:\n            return [x,\n                    x + 1]\n\n\n", "=" * 77, "\t" * 19, "<extra>the<extra> <ex tra>", "<0x41> <0xFF>"]
    found += ["\\begin{align}\n  a &= b \\\\\n\\end{align}", "a" * 70, "ÅΩ\u0300\u0301\u0302\u0303" * 5, "x\u0338\u0327\u0301", "🇩🇪👩‍👩‍👧", "\U000e0001\uffff\ufffd"]
    found += [" " * n for n in range(1, 9)] + ["x" + " " * n + "y" for n in range(1, 9)] + ["the th e thethe tthe", "qu qua quxqu", "ﬁ<extra>ﬁ", "ab  ab"]
    for _ in range(60):
        at = rng.randrange(len(SAMPLE) - 400)
        found.append(SAMPLE[at : at + rng.randrange(20, 300)])
    alphabet = "aabbee  \n\t.,-=_()éß日本🦀ÅΩ0123▁ﬁ①\u0301\u00a0\u3000the<extra>"
    found += ["".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 80))) for _ in range(200)]
    return found


def trained(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAMPLE[:400_000].splitlines()), model_writer=out, model_type="unigram", num_threads=1, minloglevel=2,
        hard_vocab_limit=False, **options,
    )
    proto = protobuf.ModelProto.FromString(out.getvalue())
    proto.normalizer_spec.normalization_rule_tsv = ""
    return proto.SerializeToString()


def rules():
    """A table of rules: `ab` becomes `q  q`, `b` nothing, `é` two characters, tab a space."""
    path = pathlib.Path(tempfile.mkdtemp()) / "rules.tsv"
    rows = [("61 62", "71 20 20 71"), ("62", ""), ("E9", "65 301"), ("9", "20"), ("41", "61"), ("41 42 43", "20 78")]
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    return str(path)


def with_unused(model):
    """Pieces in the middle of the vocabulary, one letter and longer ones, are no longer in use."""
    proto = protobuf.ModelProto.FromString(model)
    for at, piece in enumerate(proto.pieces):
        if piece.type == 1 and (at % 7 == 3 or piece.piece in ["e", "z"]):
            piece.type = 5
    return proto.SerializeToString()


MODELS = {
    # As trainers have it by default.
    "nmt_nfkc": trained(vocab_size=300),
    # As decoders have it.
    "bytes": trained(vocab_size=600, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
    "nfkc_bytes": trained(
        vocab_size=500, byte_fallback=True, normalization_rule_name="nfkc", remove_extra_whitespaces=False, add_dummy_prefix=False,
        user_defined_symbols=["<extra>", "the", "qu", "a" * 3], allow_whitespace_only_pieces=True,
    ),
    "folded": trained(vocab_size=300, normalization_rule_name="nmt_nfkc_cf", user_defined_symbols=["▁▁", "ﬁ"], split_by_whitespace=False),
    "rules": trained(vocab_size=200, normalization_rule_tsv=rules(), character_coverage=0.99),
    "unused": with_unused(trained(vocab_size=400, byte_fallback=True, normalization_rule_name="identity")),
}

cases = {}
for name, model in MODELS.items():
    (HERE / f"{name}.model.gz").write_bytes(gzip.compress(model, 9, mtime=0))
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    proto = protobuf.ModelProto.FromString(model)
    special = [piece.piece for piece in proto.pieces if piece.type in (2, 3)]
    found = [text for text in texts(random.Random(20230816)) if not any(piece in text for piece in special)]
    if name in ("bytes", "folded"):
        # Sums of many scores, in which single precision rounds.
        found.append(SAMPLE[100_000:130_000])
    cases[name] = [{"text": text, "ids": processor.encode(text)} for text in found]
text = json.dumps(cases, ensure_ascii=True, separators=(",", ":"))
(HERE / "cases.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
