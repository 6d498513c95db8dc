//! Tokens: the words, numbers, texts and signs that a filter is written with.
//!
//! Invariants
//! - A token begins and ends on a character; its place is a byte of the text.
//! - Keywords are the same in capitals and small letters; a quoted name is never a keyword.
//!
//! Numbers are Java's: `12`, `12L`, `0x1F`, `017`, `0b11`; `7.`, `.5`, `7E3`, `2f`, `2d`.

use super::value::Comparison;

/// A word that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    Between,
    In,
    Like,
    Escape,
    Is,
    Null,
    True,
    False,
}

const KEYWORDS: [(&str, Keyword); 11] = [
    ("AND", Keyword::And),
    ("OR", Keyword::Or),
    ("NOT", Keyword::Not),
    ("BETWEEN", Keyword::Between),
    ("IN", Keyword::In),
    ("LIKE", Keyword::Like),
    ("ESCAPE", Keyword::Escape),
    ("IS", Keyword::Is),
    ("NULL", Keyword::Null),
    ("TRUE", Keyword::True),
    ("FALSE", Keyword::False),
];

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    End,
    Open,
    Close,
    Comma,
    Plus,
    Minus,
    Star,
    Slash,
    Comparison(Comparison),
    Keyword(Keyword),
    Name(String),
    Text(String),
    /// At most 2 to the power of 63, which only fits with a minus before it.
    Integer(u64),
    Float(f64),
}

impl Token {
    /// What a refusal calls it.
    pub fn described(&self) -> String {
        let sign = match self {
            Token::End => return "the end".to_owned(),
            Token::Name(name) => return format!("the name {name}"),
            Token::Text(_) => return "a text".to_owned(),
            Token::Integer(_) | Token::Float(_) => return "a number".to_owned(),
            Token::Keyword(keyword) => {
                let mut keywords = KEYWORDS.iter();
                keywords
                    .find(|known| known.1 == *keyword)
                    .map_or("", |known| known.0)
            }
            Token::Open => "(",
            Token::Close => ")",
            Token::Comma => ",",
            Token::Plus => "+",
            Token::Minus => "-",
            Token::Star => "*",
            Token::Slash => "/",
            Token::Comparison(Comparison::Equal) => "=",
            Token::Comparison(Comparison::NotEqual) => "<>",
            Token::Comparison(Comparison::Less) => "<",
            Token::Comparison(Comparison::LessOrEqual) => "<=",
            Token::Comparison(Comparison::Greater) => ">",
            Token::Comparison(Comparison::GreaterOrEqual) => ">=",
        };
        sign.to_owned()
    }
}

/// A place in bytes, and what is wrong there.
#[derive(Debug)]
pub(super) struct Wrong {
    pub at: usize,
    pub why: String,
}

impl Wrong {
    pub fn new(at: usize, why: impl Into<String>) -> Wrong {
        Wrong {
            at,
            why: why.into(),
        }
    }
}

/// Cuts a text into tokens.
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tokens<'t> {
    pub fn new(text: &'t str) -> Tokens<'t> {
        Tokens { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Takes all characters up to the first that is not `wanted`.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest
            .find(|character| !wanted(character))
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The next token and its place.
    pub fn next(&mut self) -> Result<(usize, Token), Wrong> {
        self.take(char::is_whitespace);
        let at = self.at;
        let mut characters = self.rest().chars();
        let Some(first) = characters.next() else {
            return Ok((at, Token::End));
        };
        let second = characters.next();
        let digit_follows = second.is_some_and(|second| second.is_ascii_digit());
        let token = match first {
            '\'' => Token::Text(self.quoted('\'', "text")?),
            '"' => Token::Name(self.quoted('"', "name")?),
            '0'..='9' => self.number()?,
            '.' if digit_follows => self.number()?,
            '_' | '$' => self.word()?,
            letter if letter.is_alphabetic() => self.word()?,
            _ => self.sign(first, second)?,
        };
        Ok((at, token))
    }

    fn sign(&mut self, first: char, second: Option<char>) -> Result<Token, Wrong> {
        let (token, bytes) = match (first, second) {
            ('<', Some('>')) => (Token::Comparison(Comparison::NotEqual), 2),
            ('<', Some('=')) => (Token::Comparison(Comparison::LessOrEqual), 2),
            ('>', Some('=')) => (Token::Comparison(Comparison::GreaterOrEqual), 2),
            ('<', _) => (Token::Comparison(Comparison::Less), 1),
            ('>', _) => (Token::Comparison(Comparison::Greater), 1),
            ('=', Some('=')) => return Err(Wrong::new(self.at, "equal is written =, not ==")),
            ('=', _) => (Token::Comparison(Comparison::Equal), 1),
            ('!', Some('=')) => return Err(Wrong::new(self.at, "unequal is written <>, not !=")),
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            (',', _) => (Token::Comma, 1),
            ('+', _) => (Token::Plus, 1),
            ('-', _) => (Token::Minus, 1),
            ('*', _) => (Token::Star, 1),
            ('/', _) => (Token::Slash, 1),
            _ => {
                let why = format!("unexpected {}", first.escape_debug());
                return Err(Wrong::new(self.at, why));
            }
        };
        self.at += bytes;
        Ok(token)
    }

    /// What stands between two quotes; a quote in it is written twice.
    fn quoted(&mut self, quote: char, what: &str) -> Result<String, Wrong> {
        let at = self.at;
        let mut found = String::new();
        loop {
            self.at += 1;
            found.push_str(self.take(|character| character != quote));
            if self.rest().is_empty() {
                return Err(Wrong::new(
                    at,
                    format!("the {what} that begins here has no end"),
                ));
            }
            self.at += 1;
            if !self.rest().starts_with(quote) {
                return Ok(found);
            }
            found.push(quote);
        }
    }

    fn word(&mut self) -> Result<Token, Wrong> {
        let word = self.take(is_of_name);
        let known = |(keyword, _): &&(&str, Keyword)| keyword.eq_ignore_ascii_case(word);
        if let Some((_, keyword)) = KEYWORDS.iter().find(known) {
            return Ok(Token::Keyword(*keyword));
        }
        let mut following = self.rest().chars();
        if following.next() == Some('-') && following.next().is_some_and(char::is_alphabetic) {
            return Err(Wrong::new(
                self.at,
                "a name with - in it stands in double quotes, and a minus between spaces",
            ));
        }
        Ok(Token::Name(word.to_owned()))
    }

    fn number(&mut self) -> Result<Token, Wrong> {
        let at = self.at;
        let begins = |start: &str| {
            let rest = self.rest().get(..2);
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(start))
        };
        let radix = match (begins("0x"), begins("0b")) {
            (true, _) => 16,
            (_, true) => 2,
            _ => 10,
        };
        if radix != 10 {
            self.at += 2;
            let digits = self.take(is_of_word);
            return integer(at, digits, radix);
        }
        let mut digits = self.take(is_of_word).to_owned();
        let mut fractional = false;
        if self.rest().starts_with('.') {
            fractional = true;
            self.at += 1;
            digits.push('.');
            digits.push_str(self.take(is_of_word));
        }
        let exponent = digits.ends_with(['e', 'E']);
        if exponent && self.rest().starts_with(['+', '-']) {
            digits.push_str(&self.rest()[..1]);
            self.at += 1;
            digits.push_str(self.take(is_of_word));
        }
        if fractional || digits.contains(['e', 'E', 'f', 'F', 'd', 'D']) {
            return float(at, &digits);
        }
        match digits.strip_prefix('0') {
            Some(octal) if octal.starts_with(|digit: char| digit != 'l' && digit != 'L') => {
                integer(at, octal, 8)
            }
            _ => integer(at, &digits, 10),
        }
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

fn is_of_name(character: char) -> bool {
    is_of_word(character) || character == '.'
}

const NO_NUMBER: &str = "this is no number";

fn integer(at: usize, digits: &str, radix: u32) -> Result<Token, Wrong> {
    let digits = digits.strip_suffix(['l', 'L']).unwrap_or(digits);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Wrong::new(at, NO_NUMBER));
    }
    match u64::from_str_radix(digits, radix) {
        Ok(integer) if integer <= 1 << 63 => Ok(Token::Integer(integer)),
        _ => Err(Wrong::new(at, TOO_LARGE)),
    }
}

/// Why an integer is refused that does not fit.
pub(super) const TOO_LARGE: &str = "this integer does not fit in 64 bits";

fn float(at: usize, digits: &str) -> Result<Token, Wrong> {
    let single = digits.ends_with(['f', 'F']);
    let digits = digits.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(digits);
    let parsed = match single {
        true => digits.parse::<f32>().map(f64::from),
        false => digits.parse::<f64>(),
    };
    match parsed {
        Ok(float) if float.is_finite() => Ok(Token::Float(float)),
        Ok(_) => Err(Wrong::new(at, "this number is too large")),
        Err(_) => Err(Wrong::new(at, NO_NUMBER)),
    }
}
