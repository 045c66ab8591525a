//! Texts that are drawn: each kind from a small grammar of its own, by a seeded generator, so that there is as much of each as a
//! reading asks for. Nothing in them is taken from anywhere.

use std::fmt::Write as _;

use lm_infinite_runtime::random::{Purpose, Stream, stream};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Writes the next sentence, record or paragraph of a text.
type Writer = Box<dyn FnMut(&mut Stream, &mut String)>;

/// A kind of text.
#[derive(Clone, Copy)]
pub struct Kind {
    /// What it is.
    pub name: &'static str,
    begin: fn(&mut Stream) -> Writer,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every kind.
pub const KINDS: [Kind; 17] = [
    Kind { name: "sentences", begin: |_| Box::new(sentences) },
    Kind { name: "dialogue", begin: |_| Box::new(dialogue) },
    Kind { name: "invented language", begin: invented_language },
    Kind { name: "JSON records", begin: json },
    Kind { name: "CSV table", begin: csv },
    Kind { name: "XML", begin: xml },
    Kind { name: "server log", begin: log },
    Kind { name: "SQL", begin: sql },
    Kind { name: "C code", begin: |_| Box::new(c_code) },
    Kind { name: "invented code", begin: invented_code },
    Kind { name: "arithmetic", begin: |_| Box::new(arithmetic) },
    Kind { name: "repeated lines", begin: |_| Box::new(repeated_lines) },
    Kind { name: "list of words", begin: |_| Box::new(words) },
    Kind { name: "hexadecimal dump", begin: hexadecimal },
    Kind { name: "timetable", begin: timetable },
    Kind { name: "settings", begin: |_| Box::new(settings) },
    Kind { name: "letters", begin: |_| Box::new(letters) },
];

impl Kind {
    /// At least `bytes` bytes of copy `copy` under `seed`. A longer text begins with a shorter one; copies are independent.
    pub fn text(&self, seed: u64, copy: u64, bytes: usize) -> String {
        let kind = KINDS.iter().position(|kind| kind.name == self.name).unwrap_or_default();
        let mut random = stream(Purpose::Calibration, seed, &[kind as u64, copy]);
        let mut writer = (self.begin)(&mut random);
        let mut text = String::new();
        while text.len() < bytes {
            writer(&mut random, &mut text);
        }
        text
    }
}

const NOUNS: [&str; 48] = [
    "river", "teacher", "window", "market", "engine", "letter", "village", "doctor", "garden", "machine",
    "winter", "story", "captain", "bridge", "question", "farmer", "kitchen", "paper", "forest", "soldier",
    "summer", "table", "mountain", "child", "office", "horse", "island", "answer", "street", "painter",
    "harbour", "morning", "school", "judge", "field", "clock", "valley", "sister", "train", "king", "house",
    "song", "friend", "road", "city", "book", "ship", "law",
];
const ADJECTIVES: [&str; 28] = [
    "old", "quiet", "small", "bright", "heavy", "early", "strange", "poor", "green", "long", "careful",
    "narrow", "young", "famous", "cold", "broken", "gentle", "public", "distant", "simple", "rich", "dark",
    "late", "honest", "empty", "proud", "warm", "new",
];
const VERBS: [&str; 32] = [
    "saw",
    "carried",
    "found",
    "left",
    "followed",
    "remembered",
    "sold",
    "built",
    "heard",
    "opened",
    "crossed",
    "lost",
    "painted",
    "wanted",
    "reached",
    "held",
    "watched",
    "changed",
    "feared",
    "praised",
    "closed",
    "kept",
    "visited",
    "burned",
    "wrote",
    "answered",
    "moved",
    "forgot",
    "bought",
    "helped",
    "broke",
    "studied",
];
const PLACES: [&str; 16] = [
    "near the lake",
    "in the north",
    "behind the church",
    "on the hill",
    "at the station",
    "by the sea",
    "in the old town",
    "across the square",
    "under the roof",
    "beside the wall",
    "in the south",
    "along the coast",
    "at home",
    "in the court",
    "on the way",
    "outside the gate",
];
const NAMES: [&str; 24] = [
    "Anna", "Peter", "Maria", "Thomas", "Elena", "George", "Ruth", "Samuel", "Clara", "Henry", "Nadia",
    "Oscar", "Julia", "Victor", "Irene", "Paul", "Laura", "Simon", "Helen", "Martin", "Alice", "David",
    "Sofia", "Frank",
];
const FIELDS: [&str; 20] = [
    "id", "name", "size", "color", "weight", "price", "state", "owner", "count", "level", "code", "group",
    "width", "height", "score", "region", "status", "index", "total", "rate",
];

fn pick<'a>(random: &mut Stream, list: &[&'a str]) -> &'a str {
    list.choose(random).copied().unwrap_or_default()
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// Without failing: writing to a `String` cannot.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {{
        let _ = write!($text, $($arguments)*);
    }};
}

fn noun_phrase(random: &mut Stream) -> String {
    let article = pick(random, &["the", "the", "a", "every", "no", "this", "their"]);
    let noun = pick(random, &NOUNS);
    if random.random_bool(0.5) {
        format!("{article} {} {noun}", pick(random, &ADJECTIVES))
    } else {
        format!("{article} {noun}")
    }
}

fn clause(random: &mut Stream) -> String {
    let subject = if random.random_bool(0.3) { pick(random, &NAMES).to_owned() } else { noun_phrase(random) };
    let mut clause = format!("{subject} {} {}", pick(random, &VERBS), noun_phrase(random));
    if random.random_bool(0.4) {
        put!(clause, " {}", pick(random, &PLACES));
    }
    clause
}

fn sentence(random: &mut Stream) -> String {
    let first = clause(random);
    let text = match random.random_range(0..4) {
        0 => format!("{first}, and {}", clause(random)),
        1 => format!("when {first}, {}", clause(random)),
        2 => format!("{first}, because {}", clause(random)),
        _ => first,
    };
    capital(&text) + "."
}

fn sentences(random: &mut Stream, text: &mut String) {
    for _ in 0..random.random_range(3..8) {
        put!(text, "{} ", sentence(random));
    }
    text.push_str("\n\n");
}

fn dialogue(random: &mut Stream, text: &mut String) {
    let (asks, answers) = (pick(random, &NAMES), pick(random, &NAMES));
    let verb = pick(random, &["asked", "whispered", "cried", "wondered"]);
    put!(text, "\"Do you know whether {}?\" {verb} {asks}.\n\n", clause(random));
    let said = pick(random, &["said", "replied", "murmured", "insisted"]);
    put!(text, "\"{}\" {said} {answers}. \"{}\"\n\n", sentence(random), sentence(random));
}

/// Words of an invented language, those that come first in the list more often, as in a real one.
struct Lexicon(Vec<String>);

impl Lexicon {
    fn new(random: &mut Stream, words: usize) -> Self {
        let word = |random: &mut Stream| -> String {
            (0..random.random_range(1..4)).map(|_| syllable(random)).collect()
        };
        Self((0..words).map(|_| word(random)).collect())
    }

    fn word(&self, random: &mut Stream) -> &str {
        let rank = (self.0.len() as f64).powf(random.random_range(0.0..1.0)) as usize;
        self.0.get(rank.saturating_sub(1)).map_or("", String::as_str)
    }
}

fn syllable(random: &mut Stream) -> String {
    let onset = pick(
        random,
        &["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "sh", "tr", "kl", ""],
    );
    let coda = pick(random, &["", "", "", "n", "r", "s", "l", "k"]);
    format!("{onset}{}{coda}", pick(random, &["a", "e", "i", "o", "u", "ai", "ou"]))
}

fn invented_language(random: &mut Stream) -> Writer {
    let lexicon = Lexicon::new(random, 400);
    Box::new(move |random, text| {
        let words: Vec<&str> = (0..random.random_range(5..16)).map(|_| lexicon.word(random)).collect();
        let end = if random.random_bool(0.15) { ".\n\n" } else { ". " };
        put!(text, "{}{end}", capital(&words.join(" ")));
    })
}

fn fields(random: &mut Stream, count: usize) -> Vec<&'static str> {
    FIELDS.choose_multiple(random, count).copied().collect()
}

fn value(random: &mut Stream, field: &str) -> String {
    match field {
        "name" | "owner" => pick(random, &NAMES).to_owned(),
        "color" | "state" | "status" => pick(random, &ADJECTIVES).to_owned(),
        "group" | "region" => pick(random, &NOUNS).to_owned(),
        "price" | "weight" | "rate" => format!("{:.2}", random.random_range(0.0..500.0)),
        _ => random.random_range(0..10_000).to_string(),
    }
}

fn json(random: &mut Stream) -> Writer {
    let fields = fields(random, 6);
    Box::new(move |random, text| {
        let cell = |random: &mut Stream, field: &str| {
            let value = value(random, field);
            if value.parse::<f64>().is_ok() { value } else { format!("\"{value}\"") }
        };
        let cells: Vec<String> =
            fields.iter().map(|field| format!("  \"{field}\": {}", cell(random, field))).collect();
        put!(text, "{{\n{},\n", cells.join(",\n"));
        let tags: Vec<String> =
            (0..random.random_range(1..5)).map(|_| format!("\"{}\"", pick(random, &NOUNS))).collect();
        put!(text, "  \"tags\": [{}]\n}},\n", tags.join(", "));
    })
}

fn csv(random: &mut Stream) -> Writer {
    let fields = fields(random, 7);
    let mut row = 0;
    Box::new(move |random, text| {
        if row == 0 {
            put!(text, "row,{}\n", fields.join(","));
        }
        row += 1;
        let cells: Vec<String> = fields.iter().map(|field| value(random, field)).collect();
        put!(text, "{row},{}\n", cells.join(","));
    })
}

fn xml(random: &mut Stream) -> Writer {
    let fields = fields(random, 4);
    let tag = pick(random, &NOUNS);
    Box::new(move |random, text| {
        put!(text, "<{tag} id=\"{}\">\n", random.random_range(1..5000));
        for field in &fields {
            put!(text, "  <{field}>{}</{field}>\n", value(random, field));
        }
        put!(text, "  <note>{}</note>\n</{tag}>\n", sentence(random));
    })
}

fn log(random: &mut Stream) -> Writer {
    let mut time = random.random_range(0..86_400_u64);
    Box::new(move |random, text| {
        time += random.random_range(0..40);
        let (hour, minute, second) = (time / 3600 % 24, time / 60 % 60, time % 60);
        let day = 1 + time / 86_400 % 28;
        put!(text, "2024-03-{day:02}T{hour:02}:{minute:02}:{second:02}Z ");
        put!(text, "{} ", pick(random, &["INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG"]));
        let service = pick(random, &["server", "cache", "worker", "database", "scheduler"]);
        let message = match random.random_range(0..4) {
            0 => format!(
                "GET /{}/{} {} in {} ms",
                pick(random, &NOUNS),
                random.random_range(1..900),
                pick(random, &["200", "200", "304", "404", "500"]),
                random.random_range(1..800)
            ),
            1 => format!(
                "connection from 10.{}.{}.{} closed",
                random.random_range(0..255),
                random.random_range(0..255),
                random.random_range(0..255)
            ),
            2 => format!("job {} of user {} finished", random.random_range(1..99_999), pick(random, &NAMES)),
            _ => format!(
                "could not read {}: timed out, try {}",
                pick(random, &NOUNS),
                random.random_range(1..6)
            ),
        };
        put!(text, "[{service}] {message}\n");
    })
}

fn sql(random: &mut Stream) -> Writer {
    let table = pick(random, &NOUNS);
    let columns = fields(random, 5);
    Box::new(move |random, text| {
        let cell = |random: &mut Stream, field: &str| {
            let value = value(random, field);
            if value.parse::<f64>().is_ok() { value } else { format!("'{value}'") }
        };
        let (field, other) = (pick(random, &columns), pick(random, &columns));
        match random.random_range(0..4) {
            0 => put!(
                text,
                "SELECT {field}, count(*) FROM {table} WHERE {other} > {} GROUP BY {field};\n",
                random.random_range(0..900)
            ),
            1 => {
                let value = cell(random, field);
                put!(
                    text,
                    "UPDATE {table} SET {field} = {value} WHERE id = {};\n",
                    random.random_range(0..900)
                );
            }
            _ => {
                let cells: Vec<String> = columns.iter().map(|field| cell(random, field)).collect();
                put!(text, "INSERT INTO {table} ({}) VALUES ({});\n", columns.join(", "), cells.join(", "));
            }
        }
    })
}

fn c_code(random: &mut Stream, text: &mut String) {
    let (verb, noun, field) = (pick(random, &VERBS), pick(random, &NOUNS), pick(random, &FIELDS));
    let (limit, step) = (random.random_range(2..500), random.random_range(1..9));
    put!(
        text,
        "/* {} */\nstatic int {noun}_{verb}(struct {noun} *self, int {field})\n{{\n",
        sentence(random)
    );
    put!(text, "    int total = 0;\n    if (self == NULL || {field} < 0)\n        return -1;\n");
    put!(text, "    for (int i = 0; i < {limit}; i += {step}) {{\n");
    for _ in 0..random.random_range(1..4) {
        let (left, operator) = (pick(random, &FIELDS), pick(random, &["+", "-", "*", "^", "&"]));
        put!(text, "        total += self->{left}[i] {operator} {field};\n");
    }
    put!(text, "    }}\n    return total % {};\n}}\n\n", random.random_range(2..99));
}

fn invented_code(random: &mut Stream) -> Writer {
    let lexicon = Lexicon::new(random, 120);
    Box::new(move |random, text| {
        let (name, argument) = (lexicon.word(random), lexicon.word(random));
        put!(text, "let rec {name} {argument} =\n");
        for _ in 0..random.random_range(1..4) {
            let (case, bound) = (lexicon.word(random), lexicon.word(random));
            let number = random.random_range(0..64);
            put!(text, "  | {} {bound} -> {case} ({bound} <> {argument}) {number}\n", capital(case));
        }
        put!(text, "  | _ -> raise {}\n;;\n", capital(lexicon.word(random)));
    })
}

fn arithmetic(random: &mut Stream, text: &mut String) {
    let (a, b): (i64, i64) = (random.random_range(0..2000), random.random_range(1..300));
    match random.random_range(0..4) {
        0 => put!(text, "{a} + {b} = {}\n", a + b),
        1 => put!(text, "{a} - {b} = {}\n", a - b),
        2 => put!(text, "{a} * {b} = {}\n", a * b),
        _ => put!(text, "{a} / {b} = {} rest {}\n", a / b, a % b),
    }
}

fn repeated_lines(random: &mut Stream, text: &mut String) {
    let line = sentence(random);
    for _ in 0..random.random_range(3..20) {
        put!(text, "{line}\n");
    }
}

fn words(random: &mut Stream, text: &mut String) {
    let list = [&NOUNS[..], &VERBS, &ADJECTIVES, &NAMES].concat();
    put!(text, "{}\n", pick(random, &list));
}

fn hexadecimal(random: &mut Stream) -> Writer {
    let mut address = random.random_range(0..4096_u64) * 16;
    Box::new(move |random, text| {
        let bytes: Vec<String> = (0..8).map(|_| format!("{:04x}", random.random::<u16>())).collect();
        put!(text, "{address:08x}: {}\n", bytes.join(" "));
        address += 16;
    })
}

fn timetable(random: &mut Stream) -> Writer {
    let stations: Vec<String> = (0..30)
        .map(|_| capital(&(0..random.random_range(2..4)).map(|_| syllable(random)).collect::<String>()))
        .collect();
    Box::new(move |random, text| {
        put!(
            text,
            "Line {:<3} {:<14} arrives  departs  platform\n",
            random.random_range(1..99),
            pick(random, &["daily", "weekdays", "Sundays"])
        );
        let mut minute = random.random_range(300..1200);
        for _ in 0..random.random_range(5..12) {
            let station = stations.choose(random).map_or("", String::as_str);
            let leaves = minute + random.random_range(1..5);
            put!(
                text,
                "         {station:<14}  {:02}:{:02}    {:02}:{:02}    {:>2}\n",
                minute / 60,
                minute % 60,
                leaves / 60,
                leaves % 60,
                random.random_range(1..24)
            );
            minute = leaves + random.random_range(4..30);
        }
        text.push('\n');
    })
}

fn settings(random: &mut Stream, text: &mut String) {
    put!(text, "[{}.{}]\n# {}\n", pick(random, &NOUNS), pick(random, &NOUNS), sentence(random));
    for field in fields(random, 5) {
        put!(text, "{field} = {}\n", value(random, field));
    }
    put!(text, "enabled = {}\n\n", random.random_bool(0.5));
}

fn letters(random: &mut Stream, text: &mut String) {
    let (from, to) = (pick(random, &NAMES), pick(random, &NAMES));
    put!(text, "From: {from}\nTo: {to}\nSubject: {}\n\nDear {to},\n\n", noun_phrase(random));
    for _ in 0..random.random_range(1..4) {
        sentences(random, text);
    }
    put!(text, "Yours,\n{from}\n\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_longer_text_begins_with_a_shorter_one_and_copies_differ() {
        let mut seen = BTreeSet::new();
        for kind in KINDS {
            let short = kind.text(0, 0, 2000);
            assert!(short.len() >= 2000, "{}", kind.name);
            assert!(kind.text(0, 0, 5000).starts_with(&short), "{}", kind.name);
            for (seed, copy) in [(0, 0), (0, 1), (1, 0)] {
                assert!(seen.insert(kind.text(seed, copy, 2000)), "{} {seed} {copy}", kind.name);
            }
        }
    }
}
