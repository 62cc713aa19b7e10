//! What a case says of itself: the declaration tags of `testcases/include/kfunc_case.h`, parsed and checked.
//!
//! A tag that cannot be understood is an error that names program, place and tag. Nothing is skipped: a typo must not
//! remove a check.

use crate::arch::WordSize;
use crate::model::Location;

/// Slots of `input[]` and `observed[]` in `kfunc_case.h`.
pub const INPUTS: u32 = 8;
/// See [`INPUTS`].
pub const OBSERVED: u32 = 16;
/// What every slot of `observed[]` holds before the run (`KFUNC_UNSET`): one that was never stored to is no result.
pub const UNSET: u64 = 0xa5a5_a5a5_a5a5_a5a5;

/// What must happen to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It loads and runs.
    Success,
    /// The kernel refuses it.
    Failure,
    /// Nothing: it is there for another program.
    Helper,
}

/// A C type that `__observe` compares as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each is the type of that name
pub enum ObserveType {
    S8,
    U8,
    Bool,
    Char,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    Long,
    Ulong,
    Ptr,
}

/// What `__observe` expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObserveValue {
    /// This number, as 64 bits: a negative one is sign-extended. Compared in the bits of the type.
    Number(u64),
    /// A null pointer (`NULL`).
    Null,
    /// A pointer that is not null (`VALID`), and was stored at all.
    Valid,
    /// Any number but 0 (`NONZERO`): a clock, a count.
    Nonzero,
}

/// One `__observe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observe {
    /// Index in `observed[]`.
    pub index: u32,
    /// Type compared as.
    pub ty: ObserveType,
    /// Value expected.
    pub value: ObserveValue,
}

/// Everything a program's tags say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotations {
    /// `__success`, `__failure` or `__helper`.
    pub expect: Expect,
    /// `__msg`: texts that must be in the verifier log, in this order.
    pub msgs: Vec<String>,
    /// `__errno`: errno of the refusal, positive.
    pub errno: Option<i32>,
    /// `__retval`.
    pub retval: Option<u32>,
    /// `__description`.
    pub description: Option<String>,
    /// `__since`: first mainline release the case applies to.
    pub since: Option<(u32, u32)>,
    /// `__until`: last one, inclusive.
    pub until: Option<(u32, u32)>,
    /// `__config`: Kconfig symbols it needs, without `CONFIG_`.
    pub configs: Vec<String>,
    /// `__module`: kernel modules to load first.
    pub modules: Vec<String>,
    /// `__arch`: arches it applies to; all when empty.
    pub arches: Vec<String>,
    /// `__input`: (index, value).
    pub inputs: Vec<(u32, u64)>,
    /// `__observe`.
    pub observes: Vec<Observe>,
    /// `__attach`: programs of the file that are attached while it runs.
    pub attaches: Vec<String>,
    /// `__implicit`: it calls kfuncs with implicit arguments.
    pub implicit: bool,
    /// `__must`: the outcome a control must come to, in the words of [`crate::model::Outcome`].
    pub must: Option<String>,
    /// `__must_say`: text the outcome must contain.
    pub must_say: Option<String>,
}

/// A tag, or a set of tags, that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}program {program}: {what}", at(location.as_ref()))]
pub struct AnnotationError {
    /// The program.
    pub program: String,
    /// Where it is written, when known.
    pub location: Option<Location>,
    /// What is wrong and what was expected.
    pub what: String,
}

fn at(location: Option<&Location>) -> String {
    location.map_or_else(String::new, |l| format!("{}:{}: ", l.file, l.line))
}

/// Outcomes a control can demand: `model::Outcome`'s serialised names.
const OUTCOMES: [&str; 11] = [
    "pass",
    "wrong_value",
    "rejected",
    "unsupported",
    "no_btf",
    "no_jit",
    "kfunc_absent",
    "splat",
    "hang",
    "guest_lost",
    "infrastructure",
];

impl Annotations {
    /// From the tags on one function, in any order.
    ///
    /// # Errors
    /// When a tag is malformed or contradicts another, or none says what to expect.
    pub fn from_tags(program: &str, location: Option<&Location>, tags: &[String]) -> Result<Self, AnnotationError> {
        let fail = |what| AnnotationError { program: program.into(), location: location.cloned(), what };
        let mut ordered = Vec::new();
        for tag in tags {
            // Tags without the prefix are the kernel's business (`exception_callback:…`).
            let Some(rest) = tag.strip_prefix("comment:") else { continue };
            // `comment:N:text`; the kernel's own selftests also have `comment:text`.
            let (number, text) = match rest.split_once(':') {
                Some((digits, text)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                    (digits.parse().unwrap_or(u64::MAX), text)
                }
                _ => (0, rest),
            };
            ordered.push((number, text));
        }
        ordered.sort_by_key(|&(number, _)| number);
        let mut found = Found::default();
        for (_, text) in ordered {
            found.take(text).map_err(|what| fail(format!("annotation \"{text}\": {what}")))?;
        }
        found.check().map_err(fail)
    }
}

/// The tags seen so far.
#[derive(Default)]
struct Found {
    expect: Option<Expect>,
    rest: Partial,
}

/// [`Annotations`] without an expectation.
#[derive(Default)]
struct Partial {
    msgs: Vec<String>,
    errno: Option<i32>,
    retval: Option<u32>,
    description: Option<String>,
    since: Option<(u32, u32)>,
    until: Option<(u32, u32)>,
    configs: Vec<String>,
    modules: Vec<String>,
    arches: Vec<String>,
    inputs: Vec<(u32, u64)>,
    observes: Vec<Observe>,
    attaches: Vec<String>,
    implicit: bool,
    must: Option<String>,
    must_say: Option<String>,
}

impl Found {
    fn take(&mut self, text: &str) -> Result<(), String> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        if text == "kfunc_implicit" {
            self.rest.implicit = true;
            return Ok(());
        }
        let expect = match word {
            "test_expect_success" => Some(Expect::Success),
            "test_expect_failure" => Some(Expect::Failure),
            "kfunc_helper" => Some(Expect::Helper),
            _ => None,
        };
        if let Some(expect) = expect {
            if value.is_some() {
                return Err("takes no value".into());
            }
            if self.expect.is_some_and(|before| before != expect) {
                return Err("contradicts another of __success, __failure and __helper".into());
            }
            self.expect = Some(expect);
            return Ok(());
        }
        let value = value.ok_or("unknown word, or its value is missing")?;
        if value.is_empty() {
            return Err("its value is empty".into());
        }
        let rest = &mut self.rest;
        match word {
            "test_expect_msg" => rest.msgs.push(value.into()),
            "test_expect_errno" => once(&mut rest.errno, errno(value)?)?,
            "test_retval" => once(&mut rest.retval, bits(value, 32)? as u32)?,
            "test_description" => once(&mut rest.description, value.into())?,
            "kfunc_since" => once(&mut rest.since, release(value)?)?,
            "kfunc_until" => once(&mut rest.until, release(value)?)?,
            "kfunc_config" => rest.configs.push(value.strip_prefix("CONFIG_").unwrap_or(value).into()),
            "kfunc_module" => rest.modules.push(value.into()),
            "kfunc_arch" => rest.arches.push(value.into()),
            "kfunc_attach" => rest.attaches.push(value.into()),
            "kfunc_input" => {
                let (index, value) = value.split_once(':').ok_or("expected index:value")?;
                let index = slot(index, INPUTS)?;
                if rest.inputs.iter().any(|&(other, _)| other == index) {
                    return Err(format!("input[{index}] is set twice"));
                }
                rest.inputs.push((index, bits(value, 64)?));
            }
            "kfunc_observe" => {
                let observe = observe(value)?;
                if rest.observes.iter().any(|other| other.index == observe.index) {
                    return Err(format!("observed[{}] is expected twice", observe.index));
                }
                rest.observes.push(observe);
            }
            "kfunc_must" if !OUTCOMES.contains(&value) => {
                return Err(format!("no outcome is called that (there are {})", OUTCOMES.join(", ")));
            }
            "kfunc_must" => once(&mut rest.must, value.into())?,
            "kfunc_must_say" => once(&mut rest.must_say, value.into())?,
            _ => return Err("unknown word; the known ones are in testcases/include/kfunc_case.h".into()),
        }
        Ok(())
    }

    fn check(self) -> Result<Annotations, String> {
        let Self { expect, rest } = self;
        let expect = expect.ok_or("a case with no expectation; add __success, __failure or __helper")?;
        let unfit: &[(&str, bool)] = match expect {
            Expect::Success => &[("__errno", rest.errno.is_some())],
            Expect::Failure => &[("__retval", rest.retval.is_some()), ("__observe", !rest.observes.is_empty())],
            Expect::Helper => &[
                ("__errno", rest.errno.is_some()),
                ("__msg", !rest.msgs.is_empty()),
                ("__retval", rest.retval.is_some()),
                ("__observe", !rest.observes.is_empty()),
                ("__input", !rest.inputs.is_empty()),
            ],
        };
        if let Some((word, _)) = unfit.iter().find(|(_, present)| *present) {
            let name = match expect {
                Expect::Success => "__success",
                Expect::Failure => "__failure",
                Expect::Helper => "__helper",
            };
            return Err(format!("{word} has no meaning together with {name}"));
        }
        if rest.since.zip(rest.until).is_some_and(|(since, until)| since > until) {
            return Err("__since is later than __until".into());
        }
        if rest.must_say.is_some() && rest.must.is_none() {
            return Err("__must_say without __must".into());
        }
        match expect {
            // Anything would do: such a case could hardly fail.
            Expect::Success if rest.retval.is_none() && rest.observes.is_empty() => {
                return Err("__success says nothing of what must come out; add __retval or __observe".into());
            }
            Expect::Failure if rest.msgs.is_empty() && rest.errno.is_none() => {
                return Err("__failure says nothing of the refusal; add __msg or __errno".into());
            }
            _ => {}
        }
        Ok(Annotations {
            expect,
            msgs: rest.msgs,
            errno: rest.errno,
            retval: rest.retval,
            description: rest.description,
            since: rest.since,
            until: rest.until,
            configs: rest.configs,
            modules: rest.modules,
            arches: rest.arches,
            inputs: rest.inputs,
            observes: rest.observes,
            attaches: rest.attaches,
            implicit: rest.implicit,
            must: rest.must,
            must_say: rest.must_say,
        })
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    if place.is_some() {
        return Err("said twice".into());
    }
    *place = Some(value);
    Ok(())
}

/// A C integer constant that may be negative and may be in parentheses, with optional suffixes: sign-extended to 128 bits.
fn number(text: &str) -> Result<i128, String> {
    let bad = || format!("\"{text}\" is no decimal or hexadecimal number");
    let mut body = text.trim();
    if let Some(character) = body.strip_prefix('\'').and_then(|b| b.strip_suffix('\'')) {
        return character_constant(character).ok_or_else(|| format!("{text} is no character constant"));
    }
    while let Some(inner) = body.strip_prefix('(').and_then(|b| b.strip_suffix(')')) {
        body = inner.trim();
    }
    let (negative, body) = match body.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, body),
    };
    let (radix, body) = match body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None => (10, body),
    };
    let digits = body.trim_end_matches(['u', 'U', 'l', 'L']);
    if body.len() - digits.len() > 3 || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(bad());
    }
    // C reads a leading 0 as octal, which nobody means here.
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        return Err(format!("\"{text}\" would be octal in C; write it in decimal or hexadecimal"));
    }
    let value = i128::from(u64::from_str_radix(digits, radix).map_err(|_| bad())?);
    Ok(if negative { -value } else { value })
}

/// What stands between the quotes of a C character constant. ASCII only: above 127 the sign of `char` would matter.
fn character_constant(text: &str) -> Option<i128> {
    let byte = match text.as_bytes() {
        [b'\\', escaped] => match escaped {
            b'0' => 0,
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' | b'\'' | b'"' => *escaped,
            _ => return None,
        },
        [plain] if plain.is_ascii_graphic() || *plain == b' ' => *plain,
        _ => return None,
    };
    Some(i128::from(byte))
}

/// A number as the bits of an integer of `width` bits: what fits as signed or as unsigned.
fn bits(text: &str, width: u32) -> Result<u64, String> {
    let value = number(text)?;
    if value < -(1i128 << (width - 1)) || value >= 1i128 << width {
        return Err(format!("{value} does not fit {width} bits"));
    }
    Ok(value as u64)
}

fn slot(text: &str, len: u32) -> Result<u32, String> {
    let value = number(text)?;
    u32::try_from(value).ok().filter(|&i| i < len).ok_or_else(|| format!("index {value} is not in 0 to {}", len - 1))
}

fn errno(text: &str) -> Result<i32, String> {
    let value = number(text)?;
    i32::try_from(value).ok().filter(|n| (1..4096).contains(n)).ok_or_else(|| format!("{value} is no positive errno"))
}

fn release(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parts.ok_or_else(|| format!("\"{text}\" is no release such as 6.17"))
}

fn observe(text: &str) -> Result<Observe, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(index), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected index:type:value".into());
    };
    let ty = ObserveType::from_name(name.trim()).ok_or_else(|| {
        let names: Vec<_> = ObserveType::ALL.iter().map(|ty| ty.name()).collect();
        format!("unknown type \"{name}\" (there are {})", names.join(", "))
    })?;
    let index = slot(index, OBSERVED)?;
    let value = match (ty, value.trim()) {
        // NULL may arrive expanded: kfunc_case.h defines it as a macro.
        (ObserveType::Ptr, "NULL" | "((void *)0)") => ObserveValue::Null,
        (ObserveType::Ptr, "VALID") => ObserveValue::Valid,
        (ObserveType::Ptr, _) => return Err("a ptr is NULL or VALID".into()),
        (ObserveType::U32 | ObserveType::U64, "NONZERO") => ObserveValue::Nonzero,
        (ObserveType::Bool, "true") => ObserveValue::Number(1),
        (ObserveType::Bool, "false") => ObserveValue::Number(0),
        (ObserveType::Bool, text) => match number(text)? {
            value @ (0 | 1) => ObserveValue::Number(value as u64),
            _ => return Err("a bool is 0, 1, false or true".into()),
        },
        (ty, text) => ObserveValue::Number(bits(text, ty.bits(WordSize::Bits32))?),
    };
    Ok(Observe { index, ty, value })
}

impl ObserveType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::S8,
        Self::U8,
        Self::Bool,
        Self::Char,
        Self::S16,
        Self::U16,
        Self::S32,
        Self::U32,
        Self::S64,
        Self::U64,
        Self::Long,
        Self::Ulong,
        Self::Ptr,
    ];

    /// As it is written in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::Char => "char",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
            Self::Long => "long",
            Self::Ulong => "ulong",
            Self::Ptr => "ptr",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.name() == name)
    }

    /// How many bits of the slot are the value on a kernel with words of this size; those above are information only.
    pub fn bits(self, word: WordSize) -> u32 {
        match self {
            // A _Bool has 8 bits, of which the callee defines all (facts.md 3.3: `al`).
            Self::S8 | Self::U8 | Self::Bool | Self::Char => 8,
            Self::S16 | Self::U16 => 16,
            Self::S32 | Self::U32 => 32,
            Self::Long | Self::Ulong if word == WordSize::Bits32 => 32,
            // A pointer is compared whole everywhere: the program takes all 64 bits for it.
            Self::S64 | Self::U64 | Self::Long | Self::Ulong | Self::Ptr => 64,
        }
    }

    /// The bits of a slot that count.
    pub fn mask(self, slot: u64, word: WordSize) -> u64 {
        slot & (u64::MAX >> (64 - self.bits(word)))
    }

    /// The value in a slot, as C prints it. The kernel's `char` is unsigned (`-funsigned-char`).
    pub fn show(self, slot: u64, word: WordSize) -> String {
        let low = self.mask(slot, word);
        match self {
            Self::S8 => (low as i8).to_string(),
            Self::S16 => (low as i16).to_string(),
            Self::S32 => (low as i32).to_string(),
            Self::Long if word == WordSize::Bits32 => (low as i32).to_string(),
            Self::S64 | Self::Long => (low as i64).to_string(),
            Self::Ptr => format!("{low:#x}"),
            Self::U32 | Self::U64 | Self::Ulong if low > 0xffff => format!("{low} ({low:#x})"),
            _ => low.to_string(),
        }
    }
}

impl Observe {
    /// Whether a slot holds what is expected. `word` is the size of a pointer on the kernel under test.
    pub fn holds(&self, slot: u64, word: WordSize) -> bool {
        match self.value {
            ObserveValue::Number(value) => self.ty.mask(value, word) == self.ty.mask(slot, word),
            ObserveValue::Null => slot == 0,
            ObserveValue::Nonzero => self.ty.mask(slot, word) != 0 && slot != UNSET,
            // A pointer that lost its upper half is none; a kernel of 64 bits has no object below 4 GiB.
            ObserveValue::Valid => {
                let least = if word == WordSize::Bits64 { u64::from(u32::MAX) } else { 0 };
                slot > least && slot != UNSET
            }
        }
    }

    /// What is expected, as C prints it.
    pub fn expected(&self, word: WordSize) -> String {
        match self.value {
            ObserveValue::Number(value) => self.ty.show(value, word),
            ObserveValue::Null => "NULL".into(),
            ObserveValue::Valid => "a valid pointer".into(),
            ObserveValue::Nonzero => "not 0".into(),
        }
    }
}

#[cfg(test)]
#[path = "annotations_tests.rs"]
mod tests;
