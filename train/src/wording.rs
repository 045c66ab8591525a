//! How a number is hidden in a text and asked for: the paper's wording of the passkey task (section 4.4; Mohtashami & Jaggi
//! 2023), which retrieval documents use in training and the task uses in measuring.

/// What stands at the head of a prompt.
pub const TASK: &str = "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will \
                        quiz you about the important information there.";

/// What the number is hidden in, again and again.
pub const FILLER: &str =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// What a number may be called. The first is the paper's.
pub const NAMES: [&str; 10] = [
    "pass key",
    "secret number",
    "access code",
    "phone number",
    "door code",
    "magic number",
    "account number",
    "ticket number",
    "lucky number",
    "room number",
];

/// The sentence that hides `number` under the name `name`: the needle.
pub fn needle(name: &str, number: u64) -> String {
    format!("The {name} is {number}. Remember it. {number} is the {name}.")
}

/// The question for it, up to where the answer is to come.
pub fn question(name: &str) -> String {
    format!("What is the {name}? The {name} is")
}
