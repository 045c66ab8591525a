//! ROUGE-L (Lin 2004): with the length `l` of the longest common subsequence of words of an answer and a reference,
//! `P = l/|answer|`, `R = l/|reference|`, and the score is `2PR/(P + R)`. Words are runs of ASCII letters and digits,
//! lowercased; the score of a corpus is the mean over its pairs.

/// ROUGE-L of one answer, from 0 to 1.
pub fn rouge_l(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (words(answer), words(reference));
    let common = longest_common_subsequence(&answer, &reference) as f64;
    if common == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (common / answer.len() as f64, common / reference.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

/// Mean over (answer, reference); `None` without any.
pub fn mean_rouge_l(pairs: &[(String, String)]) -> Option<f64> {
    let sum: f64 = pairs.iter().map(|(answer, reference)| rouge_l(answer, reference)).sum();
    (!pairs.is_empty()).then(|| sum / pairs.len() as f64)
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let runs = lower.split(|c: char| !c.is_ascii_alphanumeric());
    runs.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// By rows of the usual table: O(|a|·|b|) time, O(|b|) memory.
fn longest_common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (at, other) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == other { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lins_example() {
        // Lin 2004, section 3.1: reference "police killed the gunman".
        let reference = "police killed the gunman";
        assert_eq!(rouge_l("police kill the gunman", reference), 0.75);
        assert_eq!(rouge_l("the gunman kill police", reference), 0.5);
        assert_eq!(rouge_l("the gunman police killed", reference), 0.5);
    }

    #[test]
    fn order_case_and_punctuation() {
        assert_eq!(rouge_l("The CAT -- sat.", "the cat sat"), 1.0);
        assert_eq!((rouge_l("", "x"), rouge_l("x", ""), rouge_l("", "")), (0.0, 0.0, 0.0));
        // P = 2/4, R = 2/2.
        assert!((rouge_l("a x b y", "a b") - 2.0 / 3.0).abs() < 1e-12);
        let pairs = [("a b".to_owned(), "a b".to_owned()), ("a".to_owned(), "b".to_owned())];
        assert_eq!((mean_rouge_l(&pairs), mean_rouge_l(&[])), (Some(0.5), None));
    }

    #[test]
    fn the_table_agrees_with_trying_every_subsequence() {
        let all = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (a, b) = (all("a b c a b d a"), all("b a c a a d b"));
        let is_subsequence = |part: &[&String]| {
            let mut rest = b.iter();
            part.iter().all(|word| rest.any(|other| other == *word))
        };
        let longest = (0..1u32 << a.len())
            .map(|mask| (0..a.len()).filter(|i| mask >> i & 1 == 1).map(|i| &a[i]).collect::<Vec<_>>())
            .filter(|part| is_subsequence(part))
            .map(|part| part.len())
            .max();
        assert_eq!(Some(longest_common_subsequence(&a, &b)), longest);
    }
}
