//! The sentences of a source: its string literals that are prose, outside tests, comments and logs.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ExprMethodCall, Item, LitStr, Macro, Meta,
    visit::{self, Visit},
};

/// What is written to the log: for administrators, beside the error that it goes with.
const LOGS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "enabled"];

/// A sentence and where it stands.
pub(crate) struct Sentence {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The sentences of a source.
pub(crate) fn of(source: &str) -> Vec<Sentence> {
    let mut found = Found { sentences: Vec::new(), all: false };
    found.visit_file(&syn::parse_file(source).unwrap());
    found.sentences.retain(|sentence| is_prose(&sentence.text));
    found.sentences
}

/// All string literals of a source.
pub(crate) fn literals(source: &str) -> BTreeSet<String> {
    let mut found = Found { sentences: Vec::new(), all: true };
    found.visit_file(&syn::parse_file(source).unwrap());
    found.sentences.into_iter().map(|sentence| sentence.text).collect()
}

/// Whether what was said may be this sentence: all its parts are there, in this order.
pub(crate) fn fits(sentence: &str, said: &str) -> bool {
    let mut rest = said;
    for part in parts(sentence) {
        let Some(at) = rest.find(&part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// What stands between the holes of a format string.
fn parts(sentence: &str) -> Vec<String> {
    let (mut parts, mut part, mut hole) = (Vec::new(), String::new(), false);
    let mut chars = sentence.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if !hole && chars.peek() == Some(&c) => {
                chars.next();
                part.push(c);
            }
            '{' => {
                hole = true;
                parts.push(std::mem::take(&mut part));
            }
            '}' => hole = false,
            _ if hole => {}
            c => part.push(c),
        }
    }
    parts.push(part);
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Two words in a row, or a word and something in its place.
fn is_prose(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_word = |word: &str| word.chars().filter(char::is_ascii_lowercase).count() >= 2;
    words.windows(2).any(|two| is_word(two[0]) && (is_word(two[1]) || two[1].contains('{')))
        || words.windows(2).any(|two| two[0].contains('{') && is_word(two[1]))
}

struct Found {
    sentences: Vec<Sentence>,
    /// Tests and logs too.
    all: bool,
}

impl Found {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        // Documentation inside of a macro.
        let first = tokens.peek().map(ToString::to_string);
        if first.as_deref() == Some("doc") {
            return;
        }
        while let Some(token) = tokens.next() {
            match token {
                // A log inside of another macro, such as `select!`.
                TokenTree::Ident(name) if !self.all && LOGS.iter().any(|log| name == log) => {
                    let called = tokens.next_if(|next| next.to_string() == "!");
                    let _skipped = called.and_then(|_| tokens.next());
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    let as_tokens = TokenStream::from(TokenTree::Literal(literal));
                    if let Ok(text) = syn::parse2::<LitStr>(as_tokens) {
                        self.visit_lit_str(&text);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(path) => path.is_ident("test"),
        Meta::NameValue(_) => false,
    })
}

impl<'ast> Visit<'ast> for Found {
    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        let line = text.span().start().line;
        self.sentences.push(Sentence { line, text: text.value() });
    }

    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if self.all || !is_test_only(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // Not documentation, and not the help of options.
        if let Meta::List(list) = &attribute.meta
            && list.path.is_ident("error")
        {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let name = called.path.segments.last().map(|name| name.ident.to_string());
        if self.all || name.is_none_or(|name| !LOGS.contains(&name.as_str())) {
            self.tokens(called.tokens.clone());
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        // The text of a panic that cannot be: a lint asks for the reason of each.
        if self.all || call.method != "expect" {
            return visit::visit_expr_method_call(self, call);
        }
        self.visit_expr(&call.receiver);
    }
}
