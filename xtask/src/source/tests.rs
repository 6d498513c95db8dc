//! Tests of telling code from the rest.

use super::*;

#[test]
fn what_is_quoted_or_commented_is_blank_in_the_code() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"a // b\")", "f(\"      \")"),
        ("f(\"a \\\" b\") g", "f(\"      \") g"),
        ("r\"a\\\" b", "r\"  \" b"),
        ("r#\"a \" b\"# c", "r#\"     \"# c"),
        ("br##\"a\"# b\"## c", "br##\"     \"## c"),
        ("b\"a\" c", "b\" \" c"),
        ("r#fn + var\"a\"", "r#fn + var\" \""),
        ("'a' 'b", "' ' 'b"),
        ("'\"' x", "' ' x"),
        ("'\\'' x", "'  ' x"),
        ("'\\u{1F}' x", "'      ' x"),
        ("<'a, T>", "<'a, T>"),
        ("\"a\nb\" c", "\" \n \" c"),
    ] {
        assert_eq!(Source::new(text).code, code, "{text:?}");
    }
}

#[test]
fn comments_are_listed_by_line() {
    let source = Source::new("//! head\nlet a; // why\n/* two\nlines */\n\"// none\"");
    let comment = |line, text: &str, alone| Comment {
        line,
        text: text.to_owned(),
        alone,
    };
    let expected = [
        comment(1, "//! head", true),
        comment(2, "// why", false),
        comment(3, "/* two", true),
        comment(4, "lines */", true),
    ];
    assert_eq!(source.comments, expected);
}

#[test]
fn functions_are_measured_from_their_keyword_to_their_last_brace() {
    let text = "trait T {\n    fn declared(&self, a: [u8; 4]);\n}\n\
                fn one() -> [u8; 2] { [1, 2] }\n\
                impl X {\n    pub fn two<T>(\n        f: fn(u8) -> u8,\n    ) where T: Y {\n\
                        let s = \"}\";\n        if a { b }\n    }\n}\n";
    let found: Vec<(String, usize, usize)> = Source::new(text)
        .functions()
        .into_iter()
        .map(|f| (f.name, f.first, f.last))
        .collect();
    assert_eq!(found, [("one".to_owned(), 4, 4), ("two".to_owned(), 6, 11)]);
}

#[test]
fn test_items_span_from_their_attribute_to_their_end() {
    let text = "#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nmod b {\n    fn c() {}\n}\n";
    assert_eq!(Source::new(text).test_spans(), [(1, 2), (4, 7)]);
}

#[test]
fn a_word_is_not_found_inside_another() {
    let found: Vec<usize> = words("fn fnord defn _fn fn", "fn").collect();
    assert_eq!(found, [0, 18]);
}
