"""Token ids of Hugging Face folders without a `tokenizer.json`, or with tokens that stand only beside it.

    python build.py        # transformers 4.57.6, tokenizers 0.22.2, sentencepiece 0.2.3; seconds

Trains two small vocabularies on `runtime/assets/text/sample.txt`: byte-level BPE (`vocab.json`, `merges.txt`) and SentencePiece
BPE with bytes for characters without a piece (`tokenizer.model`). `cases.json` has folders by the files in them, and the ids of
texts by transformers' fast tokenizers; of SentencePiece vocabularies, texts without special tokens by the sentencepiece library.
"""
import io
import json
import os
import pathlib
import shutil
import tempfile

import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).parent
SAMPLE = (HERE / "../../../runtime/assets/text/sample.txt").read_text()[:400_000]
PLAIN = ["", "a", " ", "Hello world", " Hello", "Hello ", "It's 1984, and they'll pay 12,345.67 for 3 cats!",
         "naïve café 日本語 🦀 ½ x²", "  Two  spaces\n\n\tand tabs\r\n end ", "ｆｕｌｌ　width e\u0301", "the the  the", "a" * 30,
         "def f(x):\n    return x\n\n\n", "=" * 40, "\ufeffmark \u200b zero", "▁ mark▁"]
SPECIAL = ["<|im_start|>user\nHi there<|im_end|>", "<|im_start|>  x <|im_end|> y", "a<|im_end|>b<|im_end|> c  <|im_end|>",
           "<s>the</s> the<unk>the", "<pad><mask> the <mask>the", "the<extra> and thE<extra>the", "<|endoftext|>the <|endoftext|> the",
           "word theword the word wordthe", "THE <Upper> <upper>"]


def folder_of(files, base):
    folder = pathlib.Path(tempfile.mkdtemp())
    for name in base:
        shutil.copy(HERE / name, folder / name)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def bytes_vocabulary():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>", "</s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(SAMPLE.splitlines(), trainer)
    tokenizer.model.save(str(HERE))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(HERE / "tokenizer.json"))


def pieces_vocabulary():
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAMPLE.splitlines()), model_writer=out, model_type="bpe", vocab_size=600, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, character_coverage=0.999,
        user_defined_symbols=["<extra>"], minloglevel=2)
    (HERE / "tokenizer.model").write_bytes(out.getvalue())


def case(name, files, base, sentencepiece_texts=None):
    folder = folder_of(files, base)
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    texts = [{"text": text, "ids": tokenizer(text).input_ids} for text in PLAIN + SPECIAL]
    if sentencepiece_texts is not None:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "tokenizer.model"))
        bos = [tokenizer.bos_token_id] if tokenizer.add_bos_token else []
        for entry in texts[: len(PLAIN)]:
            ids = bos + processor.encode(entry["text"])
            if "▁" in entry["text"]:  # The library of Rust and Python's classes both take it for a space, sentencepiece too.
                pass
            if ids != entry["ids"]:
                print(name, repr(entry["text"]), "sentencepiece", ids, "fast", entry["ids"])
                if sentencepiece_texts:
                    entry["ids"] = ids
    print(name, type(tokenizer).__name__, len(tokenizer))
    shutil.rmtree(folder)
    return {"name": name, "base": base, "files": files, "texts": texts}


def token(content, **flags):
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True} | flags
    return {"content": content, **flags}


if not os.environ.get("KEEP"):
    bytes_vocabulary()
    pieces_vocabulary()
MERGES, JSON, PIECES = ["vocab.json", "merges.txt"], ["tokenizer.json"], ["tokenizer.model"]
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
LLAMA = {"tokenizer_class": "LlamaTokenizer"}
CHATML = {"400": token("<|im_start|>"), "401": token("<|im_end|>")}
cases = [
    case("gpt2", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}}, MERGES),
    case("gpt2 with a prefix", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}}, MERGES),
    case("opt", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "bos_token": "</s>", "eos_token": "</s>",
         "unk_token": "</s>", "pad_token": token("<pad>", normalized=True) | {"__type": "AddedToken"}}}, MERGES),
    case("qwen2", {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"0": token("<|endoftext|>")} | CHATML,
         "eos_token": "<|im_end|>"}}, MERGES),
    case("gpt2 with added_tokens.json", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}, "added_tokens.json": {"<|im_start|>": 400, "<|im_end|>": 401},
         "special_tokens_map.json": {"additional_special_tokens": ["<|im_start|>"]}}, MERGES),
    case("decoder", {"tokenizer_config.json": FAST | {"added_tokens_decoder": CHATML}}, JSON),
    case("decoder with flags", {"tokenizer_config.json": FAST | {"added_tokens_decoder": {
         "0": token("<|endoftext|>", lstrip=True), "400": token("<|im_start|>", rstrip=True), "401": token("<|im_end|>", lstrip=True, rstrip=True),
         "402": token("word", single_word=True, special=False), "403": token("<extra>", special=False, normalized=True)}}}, JSON),
    case("decoder goes before the others", {"tokenizer_config.json": FAST | {"added_tokens_decoder": CHATML, "eos_token": "<|im_end|>"},
         "special_tokens_map.json": {"mask_token": "<mask>", "eos_token": "</s>"}, "added_tokens.json": {"<extra>": 402}}, JSON),
    case("added_tokens.json", {"tokenizer_config.json": FAST, "added_tokens.json": {"<|im_end|>": 401, "<|im_start|>": 400, "<extra>": 402}}, JSON),
    case("special_tokens_map.json", {"tokenizer_config.json": FAST | {"pad_token": "<pad>"}, "special_tokens_map.json": {
         "bos_token": "<s>", "mask_token": token("<mask>", lstrip=True), "additional_special_tokens": ["<|im_end|>", token("<|im_start|>", rstrip=True)]}}, JSON),
    case("special tokens of the configuration", {"tokenizer_config.json": FAST | {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
         "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}}, JSON),
    case("other ids", {"tokenizer_config.json": FAST | {"added_tokens_decoder": {"450": token("<|im_end|>"), "420": token("<|im_start|>")}}}, JSON),
    case("pieces", {"tokenizer_config.json": LLAMA}, PIECES, True),
    case("pieces without legacy", {"tokenizer_config.json": LLAMA | {"legacy": False}}, PIECES, False),
    case("pieces without a prefix", {"tokenizer_config.json": LLAMA | {"add_prefix_space": False}}, PIECES),
    case("pieces without a prefix and legacy", {"tokenizer_config.json": LLAMA | {"add_prefix_space": False, "legacy": False, "add_bos_token": False}}, PIECES),
    case("pieces with added tokens", {"tokenizer_config.json": LLAMA | {"added_tokens_decoder": {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>"),
         "600": token("<|im_start|>"), "601": token("<|im_end|>", rstrip=True)}, "eos_token": "<|im_end|>"}}, PIECES, True),
    case("pieces with added_tokens.json", {"tokenizer_config.json": LLAMA, "added_tokens.json": {"<|im_start|>": 600, "<|im_end|>": 601, "<pad>": 602},
         "special_tokens_map.json": {"pad_token": "<pad>", "bos_token": token("<s>", normalized=True), "eos_token": token("</s>", normalized=True)}}, PIECES, True),
]
(HERE / "cases.json").write_text(json.dumps([c for c in cases if c], ensure_ascii=False, separators=(",", ":")) + "\n")
