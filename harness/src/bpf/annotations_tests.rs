use super::*;
use crate::arch::WordSize;

fn parse(tags: &[&str]) -> Result<Annotations, AnnotationError> {
    let tags: Vec<String> = tags.iter().map(|t| (*t).to_string()).collect();
    let location = Location { file: "a.bpf.c".into(), line: 7 };
    Annotations::from_tags("prog", Some(&location), &tags)
}

fn refused(tags: &[&str]) -> String {
    parse(tags).expect_err("should be refused").to_string()
}

#[test]
fn everything_at_once() {
    let got = parse(&[
        "comment:11:kfunc_observe=2:s32:-34",
        "comment:3:test_retval=0x10",
        "comment:2:test_expect_success",
        "comment:1:kfunc_since=6.17",
        "comment:4:kfunc_input=0:-1",
        "comment:5:kfunc_input=7:0xffffffffffffffffULL",
        "comment:6:kfunc_config=CONFIG_KEYS",
        "comment:7:kfunc_module=nf_conntrack",
        "comment:8:kfunc_attach=watcher",
        "comment:9:kfunc_observe=0:ptr:VALID",
        "comment:10:kfunc_until=7.1",
        "exception_callback:cb",
    ])
    .unwrap();
    assert_eq!(got.expect, Expect::Success);
    assert_eq!(got.retval, Some(16));
    assert_eq!((got.since, got.until), (Some((6, 17)), Some((7, 1))));
    assert_eq!(got.inputs, [(0, u64::MAX), (7, u64::MAX)]);
    assert_eq!(got.configs, ["KEYS"]);
    assert_eq!(got.modules, ["nf_conntrack"]);
    assert_eq!(got.attaches, ["watcher"]);
    assert_eq!(got.observes.len(), 2);
    assert!(got.observes[1].holds(0x1_ffff_ffde, WordSize::Bits64), "only the low 32 bits count");
    assert!(!got.observes[1].holds(0x22, WordSize::Bits64));
    assert!(got.observes[0].holds(1 << 40, WordSize::Bits64) && !got.observes[0].holds(0, WordSize::Bits64));
    assert!(!got.observes[0].holds(UNSET, WordSize::Bits64), "a slot that was never written is no pointer");
}

#[test]
fn order_is_that_of_the_counter_not_of_btf() {
    let got = parse(&["comment:10:test_expect_msg=b", "comment:9:test_expect_msg=a=1", "comment:test_expect_failure"]);
    assert_eq!(got.unwrap().msgs, ["a=1", "b"]);
}

#[test]
fn no_expectation_is_an_error_with_its_place() {
    assert_eq!(
        refused(&["comment:1:test_retval=0"]),
        "a.bpf.c:7: program prog: a case with no expectation; add __success, __failure or __helper"
    );
    assert!(refused(&[]).contains("no expectation"));
}

#[test]
fn malformed_tags_are_errors() {
    for (tag, why) in [
        ("comment:1:test_retvall=0", "unknown word"),
        ("comment:1:test_retval", "value is missing"),
        ("comment:1:test_retval=", "empty"),
        ("comment:1:test_retval=0x1ffffffff", "does not fit 32 bits"),
        ("comment:1:test_retval=ten", "no decimal"),
        ("comment:1:test_retval=010", "octal"),
        ("comment:1:kfunc_input=8:0", "index 8 is not in 0 to 7"),
        ("comment:1:kfunc_input=0", "expected index:value"),
        ("comment:1:kfunc_observe=0:s32", "expected index:type:value"),
        ("comment:1:kfunc_observe=0:int:1", "unknown type \"int\""),
        ("comment:1:kfunc_observe=0:u8:256", "does not fit 8 bits"),
        ("comment:1:kfunc_observe=16:u8:1", "index 16"),
        ("comment:1:kfunc_observe=0:ptr:0x10", "NULL or VALID"),
        ("comment:1:kfunc_observe=0:bool:2", "a bool is"),
        ("comment:1:kfunc_since=6", "no release"),
        ("comment:1:kfunc_since=v6.1", "no release"),
        ("comment:1:kfunc_must=sad", "no outcome"),
        ("comment:1:test_expect_failure", "contradicts"),
        ("comment:1:test_expect_success=1", "takes no value"),
        ("comment:1:test_expect_errno=22", "__errno has no meaning together with __success"),
    ] {
        let error = refused(&["comment:0:test_expect_success", tag]);
        assert!(error.contains(why), "{tag}: {error}");
        assert!(error.starts_with("a.bpf.c:7: program prog: "), "{error}");
    }
    assert!(
        refused(&["comment:0:test_expect_failure", "comment:1:test_expect_errno=-22"]).contains("no positive errno")
    );
    assert!(refused(&["comment:0:test_expect_failure", "comment:1:test_retval=0"]).contains("__retval"));
    // An expectation that anything fulfils is none.
    assert!(refused(&["comment:0:test_expect_success"]).contains("add __retval or __observe"));
    assert!(refused(&["comment:0:test_expect_failure"]).contains("add __msg or __errno"));
}

#[test]
fn twice_is_an_error() {
    let twice = ["comment:0:test_expect_success", "comment:1:test_retval=0", "comment:2:test_retval=0"];
    assert!(refused(&twice).contains("said twice"));
    let twice = ["comment:0:test_expect_success", "comment:1:kfunc_input=1:0", "comment:2:kfunc_input=1:2"];
    assert!(refused(&twice).contains("input[1] is set twice"));
}

#[test]
fn numbers_have_the_bits_c_gives_them() {
    assert_eq!(bits("-1", 32).unwrap() as u32, u32::MAX);
    assert_eq!(bits("(-2)", 64).unwrap(), u64::MAX - 1);
    assert_eq!(bits("0xFFu", 8).unwrap(), 0xff);
    assert_eq!(bits("-128", 8).unwrap() as u8, 0x80);
    assert_eq!((bits("'n'", 64), bits("'\\n'", 64), bits("'\\''", 8)), (Ok(110), Ok(10), Ok(39)));
    assert!(bits("'ab'", 64).is_err() && bits("'", 64).is_err() && bits("''", 64).is_err());
    assert!(bits("-129", 8).is_err());
    assert!(bits("0x", 8).is_err() && bits("", 8).is_err() && bits("--1", 8).is_err() && bits("1ulll", 8).is_err());
}

#[test]
fn values_are_shown_as_c_shows_them() {
    let show = |ty: ObserveType, slot| ty.show(slot, WordSize::Bits64);
    assert_eq!(show(ObserveType::S8, 0x1ff), "-1");
    assert_eq!(show(ObserveType::Char, 0x1ff), "255");
    assert_eq!(show(ObserveType::S32, 0xffff_ffff), "-1");
    assert_eq!(show(ObserveType::U32, 0x8000_0000), "2147483648 (0x80000000)");
    assert_eq!(show(ObserveType::Long, 0xffff_ffff), "4294967295");
    assert_eq!(ObserveType::Long.show(0xffff_ffff, WordSize::Bits32), "-1");
}

#[test]
fn a_long_has_the_bits_of_the_kernels_word() {
    let got = parse(&[
        "comment:0:test_expect_success",
        "comment:1:kfunc_observe=0:ulong:-1",
        "comment:2:kfunc_observe=1:long:1",
    ]);
    let [ulong, long] = got.unwrap().observes.try_into().unwrap();
    assert!(ulong.holds(u64::MAX, WordSize::Bits64) && !ulong.holds(0xffff_ffff, WordSize::Bits64));
    assert!(ulong.holds(0xdead_beef_ffff_ffff, WordSize::Bits32) && !ulong.holds(0x7fff_ffff, WordSize::Bits32));
    assert!(
        long.holds(0xdead_beef_0000_0001, WordSize::Bits32) && !long.holds(0xdead_beef_0000_0001, WordSize::Bits64)
    );
    // What fits no 32 bits would mean something else where a long has no more.
    let wide = refused(&["comment:0:test_expect_success", "comment:1:kfunc_observe=0:long:0x100000000"]);
    assert!(wide.contains("does not fit 32 bits"), "{wide}");
}
