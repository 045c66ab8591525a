"""Token ids by the sentencepiece library, of a real vocabulary and of two that are trained here.

    pip install sentencepiece==0.2.0 protobuf
    pip download --no-deps mistral-common==1.13.1 && unzip mistral_common-*.whl
    python build.py mistral_common/data/tokenizer.model.v1

Seed 20230816. Per vocabulary one `*.json.gz`: `pieces` (text, score, type as GGUF numbers it), `space_prefix`, and
`texts` with their `ids`.
"""
import gzip
import io
import json
import pathlib
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protobuf

HERE = pathlib.Path(__file__).parent
SAMPLE = (HERE / "../../../runtime/assets/text/sample.txt").read_text()


def texts(rng):
    found = ["", "a", " ", "Hello world", " Hello", "Hello ", "It's 1984, and they'll pay 12,345.67 for 3 cats!"]
    found += ["naïve café 日本語 🦀 ½ x²", "  Two  spaces\n\n\tand tabs\r\n end ", "▁ is a character, too▁▁", "ｆｕｌｌ　width"]
    found += ["def f(x):\n    if x:\n            return [x,\n                    x + 1]\n\n\n", "=" * 77, "-" * 33 + "\n", "\t" * 19]
    found += ["\\begin{align}\n  a &= b \\\\\n\\end{align}", "<0x41> <0xFF>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    found += [" " * n for n in range(1, 80)]
    found += ["x" + " " * n + "y" for n in range(1, 80)]
    for _ in range(60):
        at = rng.randrange(len(SAMPLE) - 400)
        found.append(SAMPLE[at : at + rng.randrange(20, 300)])
    for _ in range(60):
        words = []
        for _ in range(rng.randrange(1, 12)):
            at = rng.randrange(len(SAMPLE) - 20)
            words.append(SAMPLE[at : at + rng.randrange(1, 12)].strip() + " " * rng.choice([0, 1, 1, 1, 2, 3, 17, 18, 24, 40]))
        found.append("".join(words))
    alphabet = "aabbee  \n\t.,-=_()éß日本🦀ÅΩ0123▁"
    found += ["".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 80))) for _ in range(100)]
    return found


def golden(name, model):
    proto = protobuf.ModelProto.FromString(model)
    assert proto.normalizer_spec.name == "identity" and not proto.normalizer_spec.remove_extra_whitespaces
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    found = texts(random.Random(20230816))
    data = {
        "pieces": [[piece.piece, piece.score, piece.type] for piece in proto.pieces],
        "space_prefix": proto.normalizer_spec.add_dummy_prefix,
        "texts": [{"text": text, "ids": processor.encode(text)} for text in found],
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (HERE / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def trained(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAMPLE[:400_000].splitlines()), model_writer=out, model_type="bpe",
        normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, character_coverage=1.0,
        minloglevel=2, **options,
    )
    return out.getvalue()


golden("mistral_v1", pathlib.Path(sys.argv[1]).read_bytes())
golden("bytes", trained(vocab_size=900, byte_fallback=True, allow_whitespace_only_pieces=True, split_by_whitespace=False))
golden("unknown", trained(vocab_size=400, add_dummy_prefix=False, allow_whitespace_only_pieces=True))
