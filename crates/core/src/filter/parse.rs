//! The grammar of filters, from the loosest to the tightest: `OR`, `AND`, `NOT`, one comparison or
//! test, `+` and `-`, `*` and `/`, signs, parentheses.
//!
//! Invariants
//! - Every condition stands where a condition may stand, and every value where a value may; what a
//!   message decides (the type of a name) is left to the match.
//! - The parser goes no deeper than `DEPTH_MAX`; each sort of nesting counts.

use super::condition::Condition;
use super::like::Pattern;
use super::name::{Name, Slot};
use super::term::Term;
use super::token::{Keyword, TOO_LARGE, Token, Tokens, Wrong};
use super::value::{Arithmetic, Comparison, Constant};
use super::{DEPTH_MAX, FilterError, LIST_MAX, NAMES_MAX, NODES_MAX, TEXT_BYTES_MAX};

/// What was made of a text.
pub(super) struct Parsed {
    pub names: Box<[Name]>,
    pub condition: Condition,
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Parsed, FilterError> {
    let parsed = match text.len() {
        0..=TEXT_BYTES_MAX => Parser::new(text).and_then(Parser::whole),
        _ => {
            let at = text.floor_char_boundary(TEXT_BYTES_MAX);
            let why = format!("a filter may not be longer than {TEXT_BYTES_MAX} bytes");
            Err(Wrong::new(at, why))
        }
    };
    parsed.map_err(|wrong| FilterError {
        at: text[..wrong.at].chars().count() + 1,
        why: wrong.why,
    })
}

/// A condition or a value, and where it begins.
struct Part {
    at: usize,
    what: What,
}

enum What {
    Condition(Condition),
    Term(Term),
}

impl Part {
    fn condition(self) -> Result<Condition, Wrong> {
        let found = match self.what {
            What::Condition(condition) => return Ok(condition),
            What::Term(Term::Name(slot)) => return Ok(Condition::Is(slot)),
            What::Term(Term::Constant(Constant::Bool(truth))) => {
                return Ok(Condition::Known(Some(truth)));
            }
            What::Term(term) => sort(&term),
        };
        Err(Wrong::new(
            self.at,
            format!("expected a condition, found {found}"),
        ))
    }

    fn term(self) -> Result<Term, Wrong> {
        match self.what {
            What::Term(term) => Ok(term),
            What::Condition(_) => Err(Wrong::new(self.at, "expected a value, found a condition")),
        }
    }

    fn number(self) -> Result<Term, Wrong> {
        let at = self.at;
        match self.term()? {
            term @ Term::Constant(Constant::Text(_) | Constant::Bool(_)) => {
                let why = format!("expected a number, found {}", sort(&term));
                Err(Wrong::new(at, why))
            }
            term => Ok(term),
        }
    }
}

fn sort(term: &Term) -> &'static str {
    match term {
        Term::Constant(Constant::Text(_)) => "a text",
        Term::Constant(Constant::Bool(_)) => "a truth",
        Term::Name(_) => "a name",
        _ => "a number",
    }
}

struct Parser<'t> {
    tokens: Tokens<'t>,
    at: usize,
    token: Token,
    names: Vec<Name>,
    nodes: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Parser<'t>, Wrong> {
        let mut tokens = Tokens::new(text);
        let (at, token) = tokens.next()?;
        Ok(Parser {
            tokens,
            at,
            token,
            names: Vec::new(),
            nodes: 0,
            depth: 0,
        })
    }

    fn whole(mut self) -> Result<Parsed, Wrong> {
        let condition = self.any()?.condition()?;
        match self.token {
            Token::End => Ok(Parsed {
                names: self.names.into(),
                condition,
            }),
            _ => Err(self.expected("AND, OR or the end")),
        }
    }

    fn expected(&self, what: &str) -> Wrong {
        let found = self.token.described();
        Wrong::new(self.at, format!("expected {what}, found {found}"))
    }

    /// Goes on to the next token.
    fn take(&mut self) -> Result<Token, Wrong> {
        let (at, token) = self.tokens.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn take_if(&mut self, wanted: &Token) -> Result<bool, Wrong> {
        let found = self.token == *wanted;
        if found {
            self.take()?;
        }
        Ok(found)
    }

    fn take_keyword(&mut self, keyword: Keyword) -> Result<bool, Wrong> {
        self.take_if(&Token::Keyword(keyword))
    }

    fn require(&mut self, wanted: &Token) -> Result<(), Wrong> {
        match self.take_if(wanted)? {
            true => Ok(()),
            false => Err(self.expected(&wanted.described())),
        }
    }

    /// Counts an operator, name or constant.
    fn node(&mut self, at: usize) -> Result<(), Wrong> {
        self.nodes += 1;
        match self.nodes {
            0..=NODES_MAX => Ok(()),
            _ => {
                let why = format!(
                    "a filter may not have more than {NODES_MAX} operators, names and constants"
                );
                Err(Wrong::new(at, why))
            }
        }
    }

    /// Reads something that is nested one deeper than what is around it.
    fn nested(
        &mut self,
        at: usize,
        read: fn(&mut Parser<'t>) -> Result<Part, Wrong>,
    ) -> Result<Part, Wrong> {
        if self.depth == DEPTH_MAX {
            let why = format!("parentheses, NOT and signs may not nest deeper than {DEPTH_MAX}");
            return Err(Wrong::new(at, why));
        }
        self.depth += 1;
        let part = read(self)?;
        self.depth -= 1;
        Ok(part)
    }

    fn any(&mut self) -> Result<Part, Wrong> {
        self.row(Keyword::Or, Parser::all, Condition::any)
    }

    fn all(&mut self) -> Result<Part, Wrong> {
        self.row(Keyword::And, Parser::not, Condition::all)
    }

    fn row(
        &mut self,
        keyword: Keyword,
        read: fn(&mut Parser<'t>) -> Result<Part, Wrong>,
        make: fn(Vec<Condition>) -> Condition,
    ) -> Result<Part, Wrong> {
        let first = read(self)?;
        if self.token != Token::Keyword(keyword) {
            return Ok(first);
        }
        let at = first.at;
        let mut conditions = vec![first.condition()?];
        while self.token == Token::Keyword(keyword) {
            self.node(self.at)?;
            self.take()?;
            conditions.push(read(self)?.condition()?);
        }
        let what = What::Condition(make(conditions));
        Ok(Part { at, what })
    }

    fn not(&mut self) -> Result<Part, Wrong> {
        let at = self.at;
        if !self.take_keyword(Keyword::Not)? {
            return self.test();
        }
        self.node(at)?;
        let condition = self.nested(at, Parser::not)?.condition()?;
        let what = What::Condition(condition.not());
        Ok(Part { at, what })
    }

    /// A value alone, compared, or tested.
    fn test(&mut self) -> Result<Part, Wrong> {
        let left = self.sum()?;
        let at = left.at;
        let test_at = self.at;
        let condition = match self.token {
            Token::Comparison(comparison) => self.comparison(left, comparison)?,
            Token::Keyword(Keyword::Is) => {
                let term = left.term()?;
                self.take()?;
                let negated = self.take_keyword(Keyword::Not)?;
                self.require(&Token::Keyword(Keyword::Null))?;
                negated_if(negated, Condition::IsNull(term).decided())
            }
            Token::Keyword(Keyword::Not | Keyword::Between | Keyword::In | Keyword::Like) => {
                let negated = self.take_keyword(Keyword::Not)?;
                match self.token {
                    Token::Keyword(Keyword::Between) => self.between(left, negated)?,
                    Token::Keyword(Keyword::In) => negated_if(negated, self.list(left)?),
                    Token::Keyword(Keyword::Like) => negated_if(negated, self.like(left)?),
                    _ => return Err(self.expected("BETWEEN, IN or LIKE")),
                }
            }
            _ => return Ok(left),
        };
        self.node(test_at)?;
        let what = What::Condition(condition);
        Ok(Part { at, what })
    }

    fn comparison(&mut self, left: Part, comparison: Comparison) -> Result<Condition, Wrong> {
        let ordered = |part: Part| {
            let at = part.at;
            match part.term()? {
                Term::Constant(Constant::Bool(_)) if comparison.is_of_order() => {
                    Err(Wrong::new(at, "a truth compares by = and <> only"))
                }
                term => Ok(term),
            }
        };
        let left = ordered(left)?;
        self.take()?;
        let right = ordered(self.sum()?)?;
        if let Token::Comparison(_) = self.token {
            return Err(self.expected("AND, OR or the end after a comparison"));
        }
        Ok(Condition::Compare(comparison, left, right).decided())
    }

    fn between(&mut self, left: Part, negated: bool) -> Result<Condition, Wrong> {
        let value = left.term()?;
        self.take()?;
        let low = self.sum()?.term()?;
        self.require(&Token::Keyword(Keyword::And))?;
        let high = self.sum()?.term()?;
        let condition = match negated {
            true => Condition::Outside(value, low, high),
            false => Condition::Between(value, low, high),
        };
        Ok(condition.decided())
    }

    fn list(&mut self, left: Part) -> Result<Condition, Wrong> {
        let term = left.term()?;
        self.take()?;
        self.require(&Token::Open)?;
        let mut constants = Vec::new();
        loop {
            if constants.len() == LIST_MAX {
                let why = format!("a list may not have more than {LIST_MAX} constants");
                return Err(Wrong::new(self.at, why));
            }
            constants.push(self.constant()?);
            if !self.take_if(&Token::Comma)? {
                break;
            }
        }
        match self.take_if(&Token::Close)? {
            true => Ok(Condition::one_of(term, constants).decided()),
            false => Err(self.expected(", or )")),
        }
    }

    /// A constant of a list: a text, a truth, or a number with or without a sign.
    fn constant(&mut self) -> Result<Constant, Wrong> {
        let at = self.at;
        let negative = self.token == Token::Minus;
        let signed = negative || self.token == Token::Plus;
        if signed {
            self.take()?;
        }
        if signed && !matches!(self.token, Token::Integer(_) | Token::Float(_)) {
            return Err(self.expected("a number"));
        }
        let constant = self.literal(at, "a constant", negative)?;
        self.take()?;
        Ok(constant)
    }

    fn like(&mut self, left: Part) -> Result<Condition, Wrong> {
        let at = left.at;
        let term = left.term()?;
        if !matches!(term, Term::Name(_) | Term::Constant(Constant::Text(_))) {
            return Err(Wrong::new(
                at,
                format!("expected a text, found {}", sort(&term)),
            ));
        }
        self.take()?;
        let pattern_at = self.at;
        let Token::Text(pattern) = self.token.clone() else {
            return Err(self.expected("a pattern in single quotes"));
        };
        self.take()?;
        let mut escape = None;
        if self.take_keyword(Keyword::Escape)? {
            let mut characters = match &self.token {
                Token::Text(text) => text.chars(),
                _ => "".chars(),
            };
            escape = characters.next();
            if escape.is_none() || characters.next().is_some() {
                return Err(self.expected("one character in single quotes"));
            }
            self.take()?;
        }
        let pattern = Pattern::read(&pattern, escape).map_err(|why| Wrong::new(pattern_at, why))?;
        Ok(Condition::Like(term, pattern).decided())
    }

    fn sum(&mut self) -> Result<Part, Wrong> {
        self.calculation(Parser::product, |token| match token {
            Token::Plus => Some(Arithmetic::Plus),
            Token::Minus => Some(Arithmetic::Minus),
            _ => None,
        })
    }

    fn product(&mut self) -> Result<Part, Wrong> {
        self.calculation(Parser::signed, |token| match token {
            Token::Star => Some(Arithmetic::Times),
            Token::Slash => Some(Arithmetic::Over),
            _ => None,
        })
    }

    fn calculation(
        &mut self,
        read: fn(&mut Parser<'t>) -> Result<Part, Wrong>,
        arithmetic: fn(&Token) -> Option<Arithmetic>,
    ) -> Result<Part, Wrong> {
        let first = read(self)?;
        let Some(mut next) = arithmetic(&self.token) else {
            return Ok(first);
        };
        let at = first.at;
        let first = first.number()?;
        let mut rest = Vec::new();
        loop {
            self.node(self.at)?;
            self.take()?;
            rest.push((next, read(self)?.number()?));
            match arithmetic(&self.token) {
                Some(arithmetic) => next = arithmetic,
                None => break,
            }
        }
        let what = What::Term(Term::row(first, rest));
        Ok(Part { at, what })
    }

    fn signed(&mut self) -> Result<Part, Wrong> {
        let at = self.at;
        let negative = match self.token {
            Token::Minus => true,
            Token::Plus => false,
            _ => return self.primary(),
        };
        self.take()?;
        if let Token::Integer(_) | Token::Float(_) = self.token {
            self.node(at)?;
            let constant = self.literal(at, "a number", negative)?;
            self.take()?;
            let what = What::Term(Term::Constant(constant));
            return Ok(Part { at, what });
        }
        self.node(at)?;
        let term = self.nested(at, Parser::signed)?.number()?;
        let what = What::Term(match negative {
            true => term.negative(),
            false => term.positive(),
        });
        Ok(Part { at, what })
    }

    fn primary(&mut self) -> Result<Part, Wrong> {
        let at = self.at;
        let term = match &self.token {
            Token::Open => {
                self.take()?;
                let inner = self.nested(at, Parser::any)?;
                self.require(&Token::Close)?;
                return Ok(Part { at, ..inner });
            }
            Token::Name(name) => {
                let name = Name::of(name).map_err(|why| Wrong::new(at, why))?;
                Term::Name(self.slot(at, name)?)
            }
            Token::Keyword(Keyword::Null) => {
                return Err(Wrong::new(at, "NULL stands after IS and IS NOT only"));
            }
            _ => Term::Constant(self.literal(at, "a value", false)?),
        };
        self.node(at)?;
        self.take()?;
        let what = What::Term(term);
        Ok(Part { at, what })
    }

    /// The constant that is there.
    fn literal(&self, at: usize, what: &str, negative: bool) -> Result<Constant, Wrong> {
        let constant = match &self.token {
            Token::Text(text) => Constant::Text(text.as_str().into()),
            Token::Keyword(Keyword::True) => Constant::Bool(true),
            Token::Keyword(Keyword::False) => Constant::Bool(false),
            Token::Float(float) if negative => Constant::Float(-float),
            Token::Float(float) => Constant::Float(*float),
            Token::Integer(magnitude) => {
                let signed = match negative {
                    true => 0i64.checked_sub_unsigned(*magnitude),
                    false => i64::try_from(*magnitude).ok(),
                };
                Constant::Integer(signed.ok_or_else(|| Wrong::new(at, TOO_LARGE))?)
            }
            _ => return Err(self.expected(what)),
        };
        Ok(constant)
    }

    fn slot(&mut self, at: usize, name: Name) -> Result<Slot, Wrong> {
        if let Some(index) = self.names.iter().position(|known| *known == name) {
            return Ok(Slot::new(index));
        }
        if self.names.len() == NAMES_MAX {
            let why = format!("a filter may not have more than {NAMES_MAX} different names");
            return Err(Wrong::new(at, why));
        }
        self.names.push(name);
        Ok(Slot::new(self.names.len() - 1))
    }
}

fn negated_if(negated: bool, condition: Condition) -> Condition {
    match negated {
        true => condition.not(),
        false => condition,
    }
}
