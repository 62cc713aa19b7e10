use super::*;

#[test]
fn each_refusal_counts_only_where_it_belongs_and_to_the_letter() {
    let has = Has { btf: true, jit: true, promised: true };
    let right = |errno, log: &str, has| claim(&refusal(errno, log), has).2;
    let cases = [
        (LINE_NO_BTF, "no BTF", Has { btf: false, ..has }),
        (LINE_NO_JIT, "no JIT", Has { jit: false, ..has }),
        (LINE_UNSUPPORTED, "no", Has { promised: false, ..has }),
    ];
    for (line, name, lacks) in cases {
        let outcome = refusal(ENOTSUPP, line);
        assert_eq!(claim(&outcome, lacks), (name, Some(line), true));
        assert!(!right(ENOTSUPP, line, has), "{line}: nothing is lacking");
        assert!(!right(22, line, lacks), "{line}: another errno");
        assert!(!right(ENOTSUPP, &format!("{line}, sorry"), lacks), "{line}: other words");
        for (other, ..) in cases.iter().filter(|(other, ..)| *other != line) {
            assert!(!right(ENOTSUPP, other, lacks), "{other} in the place of {line}");
        }
    }
    assert!(claim(&Outcome::Pass, has).2 && !claim(&Outcome::Pass, Has { promised: false, ..has }).2);
    assert!(!right(ENOTSUPP, "", has), "a JIT that gives up in silence");
}

#[test]
fn a_due_refusal_needs_errno_and_line() {
    let seen =
        |errno, log: &str| Observation { load_errno: Some(errno), verifier_log: log.into(), ..Observation::default() };
    assert_eq!(refused_with(seen(524, LINE_NO_JIT), 524, LINE_NO_JIT).standing, Standing::Right);
    assert_eq!(refused_with(seen(22, LINE_NO_JIT), 524, LINE_NO_JIT).standing, Standing::Wrong);
    let more = format!("{LINE_NO_JIT} or so");
    assert_eq!(refused_with(seen(524, &more), 524, LINE_NO_JIT).standing, Standing::Wrong);
    assert_eq!(refused_with(seen(524, LINE_UNSUPPORTED), 524, LINE_NO_JIT).standing, Standing::Wrong);
    assert_eq!(refused_with(seen(0, ""), 524, LINE_NO_JIT).standing, Standing::Wrong);
}
