//! Rust source as words and signs, without comments, literals and what is compiled for tests alone.

/// The tokens of `source`: identifiers, `::`, and single signs.
pub fn tokens(source: &str) -> Vec<String> {
    without_tests(split(source))
}

fn split(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < text.len() {
        match (at(i), at(i + 1)) {
            ('/', '/') => i = end(&text, i, |j| at(j) == '\n'),
            ('/', '*') => i = end_of_comment(&text, i),
            ('"', _) => i = end_of_string(&text, i),
            // A character, unless it is a lifetime.
            ('\'', next) if next == '\\' || at(i + 2) == '\'' => i = end(&text, i + 3, |j| at(j - 1) == '\''),
            (':', ':') => {
                tokens.push("::".to_string());
                i += 2;
            }
            (c, _) if word(c) => {
                let stop = end(&text, i, |j| !word(at(j)));
                let name: String = text[i..stop].iter().collect();
                i = stop;
                let hashes = end(&text, i, |j| at(j) != '#') - i;
                match name.as_str() {
                    "r" | "br" | "cr" if at(i + hashes) == '"' => i = end_of_raw_string(&text, i + hashes + 1, hashes),
                    "b" | "c" if at(i) == '"' => {}
                    _ => tokens.push(name),
                }
            }
            (c, _) => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                i += 1;
            }
        }
    }
    tokens
}

fn end(text: &[char], from: usize, is_end: impl Fn(usize) -> bool) -> usize {
    (from..text.len()).find(|&j| is_end(j)).unwrap_or(text.len())
}

fn end_of_comment(text: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (1, from + 2);
    while i < text.len() && depth > 0 {
        match (text[i], text.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    i
}

fn end_of_string(text: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn end_of_raw_string(text: &[char], from: usize, hashes: usize) -> usize {
    let closes = |j: usize| text[j] == '"' && (1..=hashes).all(|k| text.get(j + k) == Some(&'#'));
    end(text, from, closes) + 1 + hashes
}

/// Drops every item under `#[cfg(test)]` (or `#[cfg(all(test, …))]`).
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let is = |i: usize, signs: &[&str]| {
        signs.iter().enumerate().all(|(k, sign)| tokens.get(i + k).is_some_and(|t| t == sign))
    };
    let mut kept = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        if is(i, &["#", "[", "cfg", "(", "test"]) || is(i, &["#", "[", "cfg", "(", "all", "(", "test"]) {
            i = end_of_brackets(&tokens, i + 1);
            while is(i, &["#", "["]) {
                i = end_of_brackets(&tokens, i + 1);
            }
            while i < tokens.len() && tokens[i] != ";" && tokens[i] != "{" {
                i = if tokens[i] == "(" || tokens[i] == "[" { end_of_brackets(&tokens, i) } else { i + 1 };
            }
            i = if tokens.get(i).is_some_and(|token| token == "{") { end_of_brackets(&tokens, i) } else { i + 1 };
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    kept
}

/// The place behind the bracket that closes the one at `from`.
fn end_of_brackets(tokens: &[String], from: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}
