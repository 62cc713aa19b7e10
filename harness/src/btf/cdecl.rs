//! Types as C declarations, for reports.

use super::{Btf, Kind, MAX_DEPTH, Type};

/// Types visited for one declaration. A prototype can hold prototypes in several parameters, so a depth limit alone would
/// let hostile BTF make the text exponentially long.
const BUDGET: u32 = 400;
/// Longest name printed.
const NAME_MAX: usize = 128;

/// The declaration of `name` (which may be empty) with type `id`.
pub(super) fn declare(btf: &Btf, id: u32, name: &str) -> String {
    let mut writer = Writer { btf, budget: BUDGET };
    writer.declare(id, shorten(name), 0)
}

struct Writer<'a> {
    btf: &'a Btf,
    budget: u32,
}

impl Writer<'_> {
    fn declare(&mut self, id: u32, inner: String, depth: u32) -> String {
        if id == 0 {
            return join("void", &inner);
        }
        if depth >= MAX_DEPTH || self.budget == 0 {
            return join("...", &inner);
        }
        self.budget -= 1;
        let Some(ty) = self.btf.get(id) else { return join("<bad type>", &inner) };
        match ty.kind {
            Kind::Ptr => {
                let wraps = self
                    .btf
                    .skip_modifiers(ty.type_id())
                    .is_some_and(|t| matches!(t.kind, Kind::Array | Kind::FuncProto));
                let inner = if wraps { format!("(*{inner})") } else { format!("*{inner}") };
                self.declare(ty.type_id(), inner, depth + 1)
            }
            Kind::Const | Kind::Volatile | Kind::Restrict => self.qualified(&ty, inner, depth),
            Kind::TypeTag | Kind::Var => self.declare(ty.type_id(), inner, depth + 1),
            Kind::Array => {
                let (element, _, n) = ty.array().unwrap_or_default();
                self.declare(element, format!("{inner}[{n}]"), depth + 1)
            }
            Kind::FuncProto => {
                let params = self.params(&ty, depth);
                self.declare(ty.type_id(), format!("{inner}({params})"), depth + 1)
            }
            Kind::Func => self.declare(ty.type_id(), inner, depth + 1),
            Kind::Struct => join(&self.tagged("struct", &ty), &inner),
            Kind::Union => join(&self.tagged("union", &ty), &inner),
            Kind::Enum | Kind::Enum64 => join(&self.tagged("enum", &ty), &inner),
            Kind::Fwd => join(&self.tagged(if ty.flag() { "union" } else { "struct" }, &ty), &inner),
            Kind::Int | Kind::Float | Kind::Typedef | Kind::Datasec | Kind::DeclTag => {
                join(&shorten(self.btf.name(&ty)), &inner)
            }
        }
    }

    /// A qualifier stands before its type, except on a pointer, where it stands behind the star.
    fn qualified(&mut self, ty: &Type<'_>, inner: String, depth: u32) -> String {
        let word = match ty.kind {
            Kind::Const => "const",
            Kind::Volatile => "volatile",
            _ => "restrict",
        };
        if self.btf.skip_modifiers(ty.type_id()).is_some_and(|t| t.kind == Kind::Ptr) {
            self.declare(ty.type_id(), join(word, &inner), depth + 1)
        } else {
            format!("{word} {}", self.declare(ty.type_id(), inner, depth + 1))
        }
    }

    fn params(&mut self, proto: &Type<'_>, depth: u32) -> String {
        let mut text = String::new();
        for param in proto.params() {
            if !text.is_empty() {
                text.push_str(", ");
            }
            if self.budget == 0 {
                text.push_str("...");
                break;
            }
            if param.type_id == 0 {
                text.push_str("...");
            } else {
                text.push_str(&self.declare(param.type_id, shorten(self.btf.string(param.name_off)), depth + 1));
            }
        }
        if text.is_empty() { "void".into() } else { text }
    }

    fn tagged(&self, word: &str, ty: &Type<'_>) -> String {
        match self.btf.name(ty) {
            "" => format!("{word} {{...}}"),
            name => format!("{word} {}", shorten(name)),
        }
    }
}

fn join(base: &str, inner: &str) -> String {
    if inner.is_empty() { base.into() } else { format!("{base} {inner}") }
}

/// Names are printed to terminals and reports: control characters are dropped, the length is bounded.
fn shorten(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}
