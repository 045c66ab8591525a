//! How byte-level vocabularies split a text before merging, by the names that GGUF has for them (`tokenizer.ggml.pre`).
//!
//! Names, and which of them share a splitter, are those of llama.cpp (`src/llama-vocab.cpp`); the steps are those of the models'
//! own `tokenizer.json`, whose expressions llama.cpp quotes. llama.cpp normalizes nothing; where a family's own tokenizer is known
//! to compose characters first, so do we.

use tokenizers::SplitDelimiterBehavior::{Contiguous, Isolated, MergedWithNext};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::chunks::Cut;

/// How a vocabulary splits a text.
pub(super) struct Splitter {
    /// Values of `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    /// One after the other, each on the parts that the one before it has made.
    steps: &'static [Step],
    /// Words that are tokens are not put together from merges.
    pub whole_words: bool,
    /// Text is brought to Unicode's composed form first, as the family's own tokenizer does.
    pub composed: bool,
    /// A BOS is put first unless the file says otherwise.
    pub adds_bos: bool,
    /// Where texts may be cut.
    pub cut: Cut,
}

/// A step of a splitter.
enum Step {
    /// Every digit is a part of its own.
    EachDigit,
    /// Runs of digits are parts of their own.
    Digits,
    /// Runs of punctuation are parts of their own.
    Punctuation,
    /// What the expression matches, and what lies between.
    Regex(&'static str),
    /// Parts begin where the expression matches.
    Begins(&'static str),
    /// GPT-2's own expression, and from there on every byte as one character.
    Gpt2,
}
use Step::{Begins, Digits as DigitRuns, EachDigit, Gpt2, Regex};

/// GPT-4's: contractions, words with one sign in front, digits by threes, signs, line breaks, white space.
const CL100K: Step = Regex(concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// The same, digits one by one: Qwen 2's.
const QWEN2: Step = Regex(concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// The same, marks as parts of words.
const QWEN35: Step = Regex(concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|",
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// GPT-4o's: words by their case, with contractions behind them.
const O200K: Step = Regex(concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// Mistral's: words by their case, digits one by one.
const TEKKEN: Step = Regex(concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// Kimi's: GPT-4o's with Chinese characters apart.
const KIMI: Step = Regex(concat!(
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// Digits by threes.
const THREES: Step = Regex(r"\p{N}{1,3}");
/// Chinese characters and kana.
const CHINESE: Step = Regex("[一-龥぀-ゟ゠-ヿ]+");
/// DeepSeek's, from its third model on: what is left behind [`THREES`] and [`CHINESE`].
const DEEPSEEK: Step = Regex(concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##,
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
));
/// Letters that have a case, as DeepSeek's first model lists them.
const CASED: Step = Regex(concat!(
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1f7d}ᾀ-ᾴᾶ-ᾼ\x{1fbe}ῂ-ῄῆ-ῌ",
    r"ῐ-\x{1fd3}ῖ-\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
));
/// Scripts of East Asia, as DeepSeek's first models have them.
const EAST_ASIAN: Step = Regex("[一-龥ࠀ-一가-퟿]+");
/// Whatever holds no space and none of some signs: BLOOM's.
const BLOOM: Step = Regex(r" ?[^(\s|[.,!?…。，、।۔،])]+");

/// Nothing is known of it but that it is GPT-2's.
const GPT2: Splitter = Splitter {
    names: &[
        "gpt-2",
        "gpt2",
        "phi-2",
        "jina-es",
        "jina-de",
        "jina-v1-en",
        "jina-v2-code",
        "jina-v2-es",
        "jina-v2-de",
        "roberta-bpe",
        "gigachat",
        "a.x-4.0",
        "mellum",
        "modern-bert",
        "jais",
        "exaone4",
        "trillion",
        "granite-docling",
    ],
    steps: &[Gpt2],
    whole_words: false,
    composed: false,
    adds_bos: false,
    cut: Cut::BeforeSpace,
};

static SPLITTERS: [Splitter; 34] = [
    GPT2,
    // GPT-NeoX's tokenizer, which composes.
    Splitter { names: &["olmo", "mpt"], composed: true, ..GPT2 },
    // What llama.cpp takes where a file names none.
    Splitter {
        names: &["default"],
        steps: &[
            Regex(r"[\p{P}\$\+<=>\^~\|]+"),
            Regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"),
            Regex(r"\p{N}+"),
            Regex("[0-9][0-9][0-9]"),
        ],
        ..GPT2
    },
    Splitter {
        names: &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"],
        steps: &[EachDigit, Gpt2],
        ..GPT2
    },
    Splitter { names: &["command-r"], steps: &[EachDigit, Gpt2], composed: true, ..GPT2 },
    Splitter {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        steps: &[CL100K],
        whole_words: true,
        adds_bos: true,
        ..GPT2
    },
    Splitter { names: &["dbrx", "smaug-bpe", "chatglm-bpe", "glm4"], steps: &[CL100K], ..GPT2 },
    Splitter {
        names: &["jais-2"],
        steps: &[Regex(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|",
            r"\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
        ))],
        ..GPT2
    },
    Splitter {
        names: &["qwen2", "deepseek-r1-qwen", "f2llmv2", "megrez"],
        steps: &[QWEN2],
        composed: true,
        ..GPT2
    },
    Splitter { names: &["kormo", "stablelm2", "hunyuan", "solar-open", "grok-2"], steps: &[QWEN2], ..GPT2 },
    Splitter { names: &["qwen35"], steps: &[QWEN35], composed: true, ..GPT2 },
    Splitter { names: &["laguna"], steps: &[Begins(r"(?:\r?\n)+(?!\r?\n)"), QWEN2], ..GPT2 },
    Splitter {
        names: &["bailingmoe", "bailingmoe2", "llada-moe"],
        steps: &[Regex(concat!(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}|",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
        ))],
        ..GPT2
    },
    Splitter {
        names: &["seed-coder"],
        steps: &[Regex(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}|",
            r" ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
        ))],
        ..GPT2
    },
    // Qwen 2's without contractions.
    Splitter {
        names: &["ufakzeka"],
        steps: &[Regex(concat!(
            r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ))],
        ..GPT2
    },
    // Letters with single spaces between them are one part.
    Splitter {
        names: &["exaone-moe"],
        steps: &[Regex(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        ))],
        cut: Cut::Never,
        ..GPT2
    },
    Splitter {
        names: &["minicpm5"],
        steps: &[
            THREES,
            Regex(concat!(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+|",
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            )),
        ],
        whole_words: true,
        ..GPT2
    },
    Splitter { names: &["gpt-4o", "llama4", "kanana2", "talkie"], steps: &[O200K], ..GPT2 },
    Splitter { names: &["minimax-m2"], steps: &[O200K], composed: true, ..GPT2 },
    Splitter { names: &["granite-embed-multi-97m"], steps: &[O200K], whole_words: true, ..GPT2 },
    Splitter {
        names: &["tiny_aya", "cohere2moe"],
        steps: &[Regex(r"\d{1,3}(?=(?:\d{3})*\b)"), O200K],
        ..GPT2
    },
    Splitter { names: &["kimi-k2"], steps: &[KIMI], ..GPT2 },
    Splitter { names: &["tekken"], steps: &[TEKKEN], whole_words: true, adds_bos: true, ..GPT2 },
    Splitter {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        steps: &[THREES, CHINESE, DEEPSEEK],
        ..GPT2
    },
    Splitter {
        names: &["spark2_5"],
        steps: &[
            THREES,
            CHINESE,
            Regex(concat!(
                r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##,
                r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
            )),
            EachDigit,
        ],
        ..GPT2
    },
    Splitter {
        names: &["afmoe"],
        steps: &[
            Regex(r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"),
            Regex("[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"),
            DEEPSEEK,
        ],
        ..GPT2
    },
    Splitter {
        names: &["deepseek-llm"],
        steps: &[
            Regex(r"[\r\n]"),
            CASED,
            Regex(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            Regex(r"\s+$"),
            EAST_ASIAN,
            EachDigit,
        ],
        ..GPT2
    },
    Splitter {
        names: &["deepseek-coder"],
        steps: &[Regex(r"[\r\n]"), Regex(r"\s?\p{L}+"), Regex(r"\s?\p{P}+"), EAST_ASIAN, EachDigit],
        ..GPT2
    },
    Splitter {
        names: &["youtu"],
        steps: &[
            Regex("[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"),
            Regex(concat!(
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
                r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            )),
        ],
        whole_words: true,
        ..GPT2
    },
    Splitter {
        names: &["falcon"],
        steps: &[Step::Punctuation, Gpt2, DigitRuns, Regex("[0-9][0-9][0-9]")],
        ..GPT2
    },
    Splitter { names: &["bloom", "poro-chat", "gpt3-finnish"], steps: &[BLOOM], ..GPT2 },
    Splitter { names: &["viking"], steps: &[BLOOM, EachDigit], ..GPT2 },
    Splitter {
        names: &["chameleon"],
        steps: &[
            Regex("<sentinel:[0-9]+>"),
            Regex("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
            Regex(r"([\t\n]|    |  )"),
            EachDigit,
            Regex(r"[\p{P}!-/:-@\[-`{-~]"),
            Gpt2,
        ],
        adds_bos: true,
        ..GPT2
    },
    // Groups of three digits from the right; tokens cross spaces.
    Splitter {
        names: &["superbpe"],
        steps: &[Regex(r"\p{N}+"), Regex(r"(?=(\d{3})+(?!\d))")],
        cut: Cut::Never,
        ..GPT2
    },
];

/// Splitters of vocabularies that are not byte-level, which llama.cpp reads under the same model `gpt2`.
pub(super) const NOT_BYTE_LEVEL: [&str; 4] =
    ["gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"];

/// The splitter of this name.
pub(super) fn find(name: &str) -> Option<&'static Splitter> {
    SPLITTERS.iter().find(|splitter| splitter.names.contains(&name))
}

/// Every known name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SPLITTERS.iter().flat_map(|splitter| splitter.names.iter().copied())
}

impl Splitter {
    /// The same as steps of the tokenizers library; from the last one on, every byte is one character.
    pub(super) fn build(&self) -> tokenizers::Result<Sequence> {
        let regex = |expression: &str, behavior| {
            Split::new(SplitPattern::Regex(expression.to_owned()), behavior, false).map(Into::into)
        };
        let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
        let mut by_bytes = false;
        for step in self.steps {
            steps.push(match step {
                EachDigit => Digits::new(true).into(),
                DigitRuns => Digits::new(false).into(),
                Step::Punctuation => Punctuation::new(Contiguous).into(),
                Regex(expression) => regex(expression, Isolated)?,
                Begins(expression) => regex(expression, MergedWithNext)?,
                Gpt2 => ByteLevel::new(false, true, true).into(),
            });
            by_bytes |= matches!(step, Gpt2);
        }
        if !by_bytes {
            steps.push(ByteLevel::new(false, true, false).into());
        }
        Ok(Sequence::new(steps))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_has_one_splitter_that_can_be_built() {
        let all: Vec<&str> = names().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for name in &all {
            find(name).expect("listed").build().unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        assert!(NOT_BYTE_LEVEL.iter().all(|name| find(name).is_none()));
        assert!(find("no-such").is_none());
    }
}
