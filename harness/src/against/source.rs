//! What a kernel source file says of its JIT: the definitions of its capability functions, and what they return. Pure.
//!
//! This reads just enough of C for functions that give a constant: comments, strings and preprocessor lines are told apart
//! from code, blocks are matched, and what is not plainly a constant is handed on in its own words.

/// What a function returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// `return true;`
    Yes,
    /// `return false;`
    No,
    /// Something that only the running kernel knows, as written.
    Depends(String),
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Name of the function.
    pub name: String,
    /// Line of its name, from 1.
    pub line: usize,
    /// What it returns.
    pub says: Says,
    /// It is marked `__weak`: another file may have another one.
    pub weak: bool,
}

/// Beginning of the capability functions' names.
const PREFIX: &str = "bpf_jit_supports_";
/// The function whose being there is the capability.
pub const TRAMPOLINE: &str = "arch_prepare_bpf_trampoline";
/// Most characters of an expression that is handed on.
const WORDS: usize = 90;

/// The definitions of capability functions in a file.
pub fn definitions(text: &str) -> Vec<Definition> {
    let code = without_comments(text);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((name, at)) = next_name(&code, from) {
        from = at + name.len();
        let Some(open) = body_after(&code, from) else { continue };
        let end = matching(&code, open, '{', '}');
        let body = open + 1..end.unwrap_or(code.len());
        let before = &code[..at];
        let declaration = before.rfind([';', '}', '#']).map_or(before, |end| &before[end + 1..]);
        let mut says = if end.is_none() {
            // Conditional compilation that opens more than it closes, say: nothing that could be compared.
            Says::Depends("a body whose end was not found".into())
        } else if name == TRAMPOLINE {
            trampoline(&code[body.clone()])
        } else {
            returned(&code[body.clone()])
        };
        if let Some(condition) = condition(&code, at) {
            says = Says::Depends(match says {
                Says::Depends(words) => format!("{condition}: {words}"),
                _ => condition,
            });
        }
        found.push(Definition {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            says,
            weak: declaration.split(|c: char| !is_word(c)).any(|word| word == "__weak"),
        });
        from = body.end;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The next whole word that names a capability function, and where.
fn next_name(code: &str, from: usize) -> Option<(&str, usize)> {
    let rest = &code[from..];
    let mut words = rest.split(|c: char| !is_word(c));
    let word = words.find(|word| *word == TRAMPOLINE || (word.starts_with(PREFIX) && word.len() > PREFIX.len()))?;
    Some((word, from + (word.as_ptr() as usize - rest.as_ptr() as usize)))
}

/// Where a function's body opens, if what follows its name at `from` is a definition: parameters, perhaps attributes, `{`.
fn body_after(code: &str, from: usize) -> Option<usize> {
    let open =
        from + code[from..].find(|c: char| !c.is_whitespace()).filter(|at| code[from + at..].starts_with('('))?;
    let parameters = matching(code, open, '(', ')')?;
    let mut at = parameters + 1;
    loop {
        at += code[at..].find(|c: char| !c.is_whitespace())?;
        match code[at..].chars().next()? {
            '{' => return Some(at),
            '(' => at = matching(code, at, '(', ')')? + 1,
            c if is_word(c) => at += code[at..].find(|c: char| !is_word(c))?,
            _ => return None,
        }
    }
}

/// Where the bracket at `open` is closed.
fn matching(code: &str, open: usize, opens: char, closes: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code[open..].char_indices() {
        if c == opens {
            depth += 1;
        } else if c == closes {
            depth -= 1;
            if depth == 0 {
                return Some(open + at);
            }
        }
    }
    None
}

/// What a body comes to.
fn returned(body: &str) -> Says {
    let words: Vec<&str> = body.split_whitespace().collect();
    let text = words.join(" ");
    let only = text.strip_prefix("return").and_then(|rest| rest.strip_suffix(';')).map(str::trim);
    let mut only = only.filter(|rest| !rest.contains(';'));
    while let Some(inner) = only.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')) {
        only = Some(inner.trim());
    }
    match only {
        Some("true" | "1") => Says::Yes,
        Some("false" | "0") => Says::No,
        Some(expression) => Says::Depends(shortened(expression)),
        None => Says::Depends(shortened(&text)),
    }
}

/// A trampoline is there where there is code for one; the default gives an error.
fn trampoline(body: &str) -> Says {
    let text: String = body.split_whitespace().collect();
    if text.starts_with("return-E") && text.matches(';').count() == 1 { Says::No } else { Says::Yes }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WORDS {
        return text.to_owned();
    }
    let head: String = text.chars().take(WORDS).collect();
    format!("{}…", head.trim_end())
}

/// The innermost preprocessor condition around a place, in words.
fn condition(code: &str, at: usize) -> Option<String> {
    let mut open: Vec<String> = Vec::new();
    for line in code[..at].lines() {
        let Some(directive) = line.trim_start().strip_prefix('#').map(str::trim) else { continue };
        let word = directive.split(|c: char| !is_word(c)).next().unwrap_or_default();
        match word {
            "if" | "ifdef" | "ifndef" => {
                open.push(format!("#{}", directive.split_whitespace().collect::<Vec<_>>().join(" ")))
            }
            "elif" | "else" => {
                if let Some(last) = open.last_mut() {
                    *last = match word {
                        "elif" => format!("#{}", directive.split_whitespace().collect::<Vec<_>>().join(" ")),
                        _ => format!("not {last}"),
                    };
                }
            }
            "endif" => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop().map(|condition| shortened(&condition))
}

/// The text with comments and the insides of strings blanked, each line and byte in its place.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let blank = |out: &mut Vec<u8>, from: usize, to: usize| {
        for byte in &mut out[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            let end = rest[2..].windows(2).position(|w| w == b"*/").map_or(bytes.len(), |end| at + end + 4);
            blank(&mut out, at, end);
            at = end;
        } else if rest.starts_with(b"//") {
            let end = rest.iter().position(|&b| b == b'\n').map_or(bytes.len(), |end| at + end);
            blank(&mut out, at, end);
            at = end;
        } else if rest[0] == b'"' || rest[0] == b'\'' {
            let quote = rest[0];
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != quote && bytes[end] != b'\n' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = end.min(bytes.len());
            blank(&mut out, at + 1, end);
            at = end + 1;
        } else {
            at += 1;
        }
    }
    // Blanked whole, or left as it was: still the text it came from.
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Definition {
        let found = definitions(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    fn says(body: &str) -> Says {
        one(&format!("bool bpf_jit_supports_x(void)\n{{{body}}}\n")).says
    }

    #[test]
    fn constants_are_told_from_expressions() {
        assert_eq!(says("\n\treturn true;\n"), Says::Yes);
        assert_eq!(says("return(false);"), Says::No);
        assert_eq!(says(" return 1 ; "), Says::Yes);
        assert_eq!(says("return 0;"), Says::No);
        assert_eq!(says("/* return false; */ return true; // return false;\n"), Says::Yes);
        assert_eq!(
            says("return IS_ENABLED(CONFIG_UNWINDER_ORC);"),
            Says::Depends("IS_ENABLED(CONFIG_UNWINDER_ORC)".into())
        );
        assert_eq!(says("return !false;"), Says::Depends("!false".into()));
        assert_eq!(says("return truely;"), Says::Depends("truely".into()));
        let two = says("\n\tif (IS_ENABLED(CONFIG_PPC32))\n\t\treturn -EOPNOTSUPP;\n\treturn true;\n");
        assert_eq!(two, Says::Depends("if (IS_ENABLED(CONFIG_PPC32)) return -EOPNOTSUPP; return true;".into()));
        let guarded =
            says("\n#ifdef system_has_cmpxchg128\n\treturn system_has_cmpxchg128();\n#else\n\treturn false;\n#endif\n");
        assert!(matches!(guarded, Says::Depends(words) if words.starts_with("#ifdef system_has_cmpxchg128 return")));
        assert!(matches!(says(&"x".repeat(500)), Says::Depends(words) if words.chars().count() == WORDS + 1));
    }

    #[test]
    fn formatting_does_not_matter_and_the_line_is_that_of_the_name() {
        let text = "\n/* bpf_jit_supports_a(void) { return false; } */\nbool\nbpf_jit_supports_a (\n\tvoid\n)\n__attribute__((cold)) __init\n{ return\n\ttrue;\n}\n";
        assert_eq!(one(text), Definition { name: "bpf_jit_supports_a".into(), line: 4, says: Says::Yes, weak: false });
        let insn = "bool bpf_jit_supports_insn(struct bpf_insn *insn, bool in_arena)\n{\n\tif (!in_arena)\n\t\treturn true;\n\tswitch (insn->code) { case 1: return false; }\n\treturn true;\n}\n";
        assert!(matches!(one(insn).says, Says::Depends(_)));
    }

    #[test]
    fn what_is_no_definition_is_not_taken_for_one() {
        for text in [
            "bool bpf_jit_supports_a(void);",
            "int f(void) { if (!bpf_jit_supports_a()) return 1; return bpf_jit_supports_a(); }",
            "// bool bpf_jit_supports_a(void) { return true; }",
            "char *s = \"bool bpf_jit_supports_a(void) { return true; }\";",
            "bool my_bpf_jit_supports_a(void) { return true; }",
            "bool bpf_jit_supports_(void) { return true; }",
            "static int __arch_prepare_bpf_trampoline(int x) { return 0; }",
            "bool bpf_jit_supports_a",
            "x = bpf_jit_supports_a(",
            "",
            "/* never closed: bool bpf_jit_supports_a(void) { return true; }",
            "'\\",
        ] {
            assert_eq!(definitions(text), [], "{text}");
        }
    }

    #[test]
    fn a_body_that_is_not_closed_is_no_constant() {
        assert!(matches!(one("bool bpf_jit_supports_a(void) { return true;").says, Says::Depends(_)));
    }

    #[test]
    fn several_in_a_file_and_the_weak_ones() {
        let text = "bool __weak bpf_jit_supports_a(void)\n{\n\treturn false;\n}\n\nbool bpf_jit_supports_b(void) { return true; }\n";
        let found = definitions(text);
        let brief: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.line, d.weak, &d.says)).collect();
        assert_eq!(brief, [("bpf_jit_supports_a", 1, true, &Says::No), ("bpf_jit_supports_b", 6, false, &Says::Yes)]);
    }

    #[test]
    fn a_condition_around_it_is_said() {
        let text = "#include <a.h>\n#if defined(X) && \\\n\tdefined(Y)\n#endif\n#ifdef CONFIG_64BIT\nbool bpf_jit_supports_a(void) { return true; }\n#else\nbool bpf_jit_supports_a(void) { return foo(); }\n#endif\nbool bpf_jit_supports_b(void) { return true; }\n";
        let found: Vec<Says> = definitions(text).into_iter().map(|d| d.says).collect();
        assert_eq!(
            found,
            [
                Says::Depends("#ifdef CONFIG_64BIT".into()),
                Says::Depends("not #ifdef CONFIG_64BIT: foo()".into()),
                Says::Yes
            ]
        );
    }

    #[test]
    fn trampolines_are_there_or_give_an_error() {
        let default = "int __weak\narch_prepare_bpf_trampoline(struct x *im, void *a)\n{\n\treturn -ENOTSUPP;\n}\n";
        assert_eq!((one(default).says, one(default).weak), (Says::No, true));
        let there = "int arch_prepare_bpf_trampoline(void)\n{\n\tint ret = 0;\n\treturn ret;\n}\n";
        assert_eq!((one(there).says, one(there).weak), (Says::Yes, false));
    }

    #[test]
    fn text_that_is_not_ascii_stays_in_its_place() {
        let text = "/* Björn Töpel */\nchar *s = \"ü\";\nbool bpf_jit_supports_a(void) { return true; }\n";
        assert_eq!((one(text).line, one(text).says), (3, Says::Yes));
    }
}
