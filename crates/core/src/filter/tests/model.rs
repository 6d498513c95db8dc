//! Random filters, written out and compiled, against an evaluator that only knows the rules.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "x-d"];
/// How tightly what stands in a row holds together.
const LOOSE: u8 = 0;

#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Null,
    Integer(i64),
    Float(f64),
    Text(String),
    Bool(bool),
}

#[derive(Debug, Clone)]
enum Expr {
    Constant(Plain),
    Name(usize),
    Negative(Box<Expr>),
    Pair(char, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone)]
enum Test {
    Or(Box<Test>, Box<Test>),
    And(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Compare(&'static str, Expr, Expr),
    Between(bool, Expr, Expr, Expr),
    In(bool, Expr, Vec<Plain>),
    Like(bool, usize, String),
    Null(bool, Expr),
    Truth(usize),
    Known(bool),
}

impl Display for Plain {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Plain::Null => write!(out, "1 / 0"),
            Plain::Integer(integer) => write!(out, "{integer}"),
            Plain::Float(float) => write!(out, "{float:?}"),
            Plain::Text(text) => write!(out, "'{}'", text.replace('\'', "''")),
            Plain::Bool(truth) => write!(out, "{truth}"),
        }
    }
}

impl Expr {
    /// Writes it where at least that tightness is needed, with no more parentheses than needed.
    fn write(&self, out: &mut Formatter<'_>, needed: u8) -> fmt::Result {
        match self {
            Expr::Constant(constant) => write!(out, "{constant}"),
            Expr::Name(name) if NAMES[*name].contains('-') => write!(out, "\"{}\"", NAMES[*name]),
            Expr::Name(name) => write!(out, "{}", NAMES[*name]),
            Expr::Negative(inner) => {
                write!(out, "-")?;
                inner.write(out, 2)
            }
            Expr::Pair(operator, left, right) => {
                let own = u8::from(matches!(operator, '*' | '/'));
                let (open, close) = if own < needed { ("(", ")") } else { ("", "") };
                write!(out, "{open}")?;
                left.write(out, own)?;
                write!(out, " {operator} ")?;
                right.write(out, own + 1)?;
                write!(out, "{close}")
            }
        }
    }

    fn value(&self, message: &[Plain]) -> Plain {
        match self {
            Expr::Constant(constant) => constant.clone(),
            Expr::Name(name) => message[*name].clone(),
            Expr::Negative(inner) => match inner.value(message) {
                Plain::Float(float) => Plain::Float(-float),
                value => calculate('-', Plain::Integer(0), value),
            },
            Expr::Pair(operator, left, right) => {
                calculate(*operator, left.value(message), right.value(message))
            }
        }
    }
}

impl Display for Expr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.write(out, LOOSE)
    }
}

fn calculate(operator: char, left: Plain, right: Plain) -> Plain {
    let float = |value: &Plain| match value {
        Plain::Integer(integer) => Some(*integer as f64),
        Plain::Float(float) => Some(*float),
        _ => None,
    };
    let (Some(a), Some(b)) = (float(&left), float(&right)) else {
        return Plain::Null;
    };
    if operator == '/' && b == 0.0 {
        return Plain::Null;
    }
    if let (Plain::Integer(a), Plain::Integer(b)) = (&left, &right) {
        let (a, b) = (i128::from(*a), i128::from(*b));
        let exact = match operator {
            '+' => a + b,
            '-' => a - b,
            '*' => a * b,
            _ => a / b,
        };
        if let Ok(integer) = i64::try_from(exact) {
            return Plain::Integer(integer);
        }
    }
    let result = match operator {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        _ => a / b,
    };
    match result.is_nan() {
        true => Plain::Null,
        false => Plain::Float(result),
    }
}

fn compare(operator: &str, left: &Plain, right: &Plain) -> Option<bool> {
    let ordering = match (left, right) {
        (Plain::Null, _) | (_, Plain::Null) => return None,
        (Plain::Bool(a), Plain::Bool(b)) if matches!(operator, "=" | "<>") => a.cmp(b),
        (Plain::Text(a), Plain::Text(b)) => a.cmp(b),
        (Plain::Integer(a), Plain::Integer(b)) => a.cmp(b),
        (Plain::Integer(a), Plain::Float(b)) => numbers(*a, *b),
        (Plain::Float(a), Plain::Integer(b)) => numbers(*b, *a).reverse(),
        (Plain::Float(a), Plain::Float(b)) => a.partial_cmp(b).unwrap(),
        _ => return Some(false),
    };
    Some(match operator {
        "=" => ordering == Ordering::Equal,
        "<>" => ordering != Ordering::Equal,
        "<" => ordering == Ordering::Less,
        "<=" => ordering != Ordering::Greater,
        ">" => ordering == Ordering::Greater,
        _ => ordering != Ordering::Less,
    })
}

fn numbers(integer: i64, float: f64) -> Ordering {
    if float.abs() > 1e30 {
        return 0.0.partial_cmp(&float).unwrap();
    }
    let below = float.floor();
    match i128::from(integer).cmp(&(below as i128)) {
        Ordering::Equal if float > below => Ordering::Less,
        ordering => ordering,
    }
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), other) | (other, Some(true)) => other,
        (Some(false), _) | (_, Some(false)) => Some(false),
        (None, None) => None,
    }
}

fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    not(and(not(left), not(right)))
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

impl Test {
    fn write(&self, out: &mut Formatter<'_>, needed: u8) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let own = match self {
            Test::Or(..) => 0,
            Test::And(..) => 1,
            Test::Not(..) => 2,
            _ => 3,
        };
        if own < needed {
            write!(out, "(")?;
        }
        match self {
            Test::Or(left, right) | Test::And(left, right) => {
                left.write(out, own)?;
                write!(out, "{}", if own == 0 { " OR " } else { " AND " })?;
                right.write(out, own + 1)?;
            }
            Test::Not(inner) => {
                write!(out, "NOT ")?;
                inner.write(out, own)?;
            }
            Test::Compare(operator, left, right) => write!(out, "{left}{operator}{right}")?,
            Test::Between(negated, value, low, high) => {
                write!(out, "{value} {}BETWEEN {low} AND {high}", not(negated))?;
            }
            Test::In(negated, value, list) => {
                let list: Vec<_> = list.iter().map(Plain::to_string).collect();
                write!(out, "{value} {}IN ({})", not(negated), list.join(", "))?;
            }
            Test::Like(negated, name, pattern) => {
                let name = Expr::Name(*name);
                write!(out, "{name} {}LIKE '{pattern}'", not(negated))?;
            }
            Test::Null(negated, value) => write!(out, "{value} IS {}NULL", not(negated))?,
            Test::Truth(name) => write!(out, "{}", Expr::Name(*name))?,
            Test::Known(truth) => write!(out, "{truth}")?,
        }
        if own < needed {
            write!(out, ")")?;
        }
        Ok(())
    }

    fn truth(&self, message: &[Plain]) -> Option<bool> {
        let negated_if = |negated: &bool, truth| if *negated { not(truth) } else { truth };
        match self {
            Test::Or(left, right) => or(left.truth(message), right.truth(message)),
            Test::And(left, right) => and(left.truth(message), right.truth(message)),
            Test::Not(inner) => not(inner.truth(message)),
            Test::Compare(operator, left, right) => {
                compare(operator, &left.value(message), &right.value(message))
            }
            Test::Between(negated, value, low, high) => {
                let value = value.value(message);
                let (low, high) = (low.value(message), high.value(message));
                match negated {
                    false => and(compare(">=", &value, &low), compare("<=", &value, &high)),
                    true => or(compare("<", &value, &low), compare(">", &value, &high)),
                }
            }
            Test::In(negated, value, list) => {
                let value = value.value(message);
                let each = list.iter().map(|constant| compare("=", &value, constant));
                negated_if(negated, each.fold(Some(false), or))
            }
            Test::Like(negated, name, pattern) => {
                let like = match &message[*name] {
                    Plain::Null => None,
                    Plain::Text(text) => Some(super::like::plain(text, pattern)),
                    _ => Some(false),
                };
                negated_if(negated, like)
            }
            Test::Null(negated, value) => {
                negated_if(negated, Some(value.value(message) == Plain::Null))
            }
            Test::Truth(name) => match message[*name] {
                Plain::Bool(truth) => Some(truth),
                _ => None,
            },
            Test::Known(truth) => Some(*truth),
        }
    }
}

impl Display for Test {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.write(out, LOOSE)
    }
}

fn number() -> impl Strategy<Value = Plain> {
    prop_oneof![
        4 => (-3..4i64).prop_map(Plain::Integer),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)].prop_map(Plain::Integer),
        2 => (-4..5i8).prop_map(|halves| Plain::Float(f64::from(halves) / 2.0)),
        1 => prop_oneof![Just(9_223_372_036_854_775_808.0), Just(-1e300)].prop_map(Plain::Float),
    ]
}

fn word() -> impl Strategy<Value = Plain> {
    "[ab']{0,3}".prop_map(Plain::Text)
}

fn constant() -> impl Strategy<Value = Plain> {
    prop_oneof![3 => number(), 2 => word(), 1 => any::<bool>().prop_map(Plain::Bool)]
}

fn found() -> impl Strategy<Value = Plain> {
    prop_oneof![6 => constant(), 2 => Just(Plain::Null), 1 => Just(Plain::Float(f64::INFINITY))]
}

fn calculation() -> impl Strategy<Value = Expr> {
    let name = (0..NAMES.len()).prop_map(Expr::Name);
    let leaf = prop_oneof![number().prop_map(Expr::Constant), name];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let operator = prop_oneof![Just('+'), Just('-'), Just('*'), Just('/')];
        let pair = (operator, inner.clone(), inner.clone());
        prop_oneof![
            3 => pair.prop_map(|(operator, left, right)| {
                Expr::Pair(operator, left.into(), right.into())
            }),
            1 => inner.prop_map(|inner| Expr::Negative(inner.into())),
        ]
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    prop_oneof![3 => calculation(), 1 => word().prop_map(Expr::Constant)]
}

fn comparison() -> impl Strategy<Value = Test> {
    let operator = prop_oneof![
        Just("="),
        Just("<>"),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">=")
    ];
    let equality = prop_oneof![Just("="), Just("<>")];
    prop_oneof![
        4 => (operator, expr(), expr()).prop_map(|(o, left, right)| Test::Compare(o, left, right)),
        1 => (equality, expr(), any::<bool>()).prop_map(|(operator, left, truth)| {
            Test::Compare(operator, left, Expr::Constant(Plain::Bool(truth)))
        }),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let flag = any::<bool>;
    let name = || 0..NAMES.len();
    let list = prop::collection::vec(constant(), 1..5);
    let between = (flag(), expr(), expr(), expr());
    let leaf = prop_oneof![
        4 => comparison(),
        2 => between.prop_map(|(negated, value, low, high)| {
            Test::Between(negated, value, low, high)
        }),
        2 => (flag(), expr(), list).prop_map(|(negated, value, list)| {
            Test::In(negated, value, list)
        }),
        2 => (flag(), name(), "[ab%_]{0,5}").prop_map(|(negated, name, pattern)| {
            Test::Like(negated, name, pattern)
        }),
        1 => (flag(), expr()).prop_map(|(negated, value)| Test::Null(negated, value)),
        1 => name().prop_map(Test::Truth),
        1 => flag().prop_map(Test::Known),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            2 => pair().prop_map(|(left, right)| Test::Or(left.into(), right.into())),
            2 => pair().prop_map(|(left, right)| Test::And(left.into(), right.into())),
            1 => inner.clone().prop_map(|inner| Test::Not(inner.into())),
        ]
    })
}

fn header(value: &Plain) -> Option<Value> {
    Some(match value {
        Plain::Null => return None,
        Plain::Integer(integer) => Value::I64(*integer),
        Plain::Float(float) => Value::F64(*float),
        Plain::Text(word) => text(word),
        Plain::Bool(truth) => Value::Bool(*truth),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_filter_is_as_true_as_the_rules_say(
        test in test(),
        message in prop::collection::vec(found(), NAMES.len()),
    ) {
        let headers = NAMES.iter().zip(&message);
        let sample = Sample {
            headers: headers
                .filter_map(|(name, value)| Some(((*name).to_owned(), header(value)?)))
                .collect(),
            ..Sample::default()
        };
        let text = test.to_string();
        prop_assert_eq!(truth(&text, &sample), test.truth(&message), "{}", text);
        // Whatever it needs to be true must hold when it is.
        let filter = compiled(&text);
        if let (true, Some((name, constant))) = (filter.matches(&sample), filter.equality()) {
            let found = name.read(&sample).unwrap();
            prop_assert!(super::super::value::order(found, constant.operand()).is_eq(), "{}", text);
        }
    }
}
