use super::*;

fn load_text(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, Vec<Problem>> {
    let mut loading = Loading::default();
    loading.file(Path::new("node.toml"), text);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    loading.environment(&environment);
    let flags: Vec<_> = flags.iter().map(|flag| (flag.to_string(), format!("--set {flag}"))).collect();
    loading.flags(&flags);
    loading.finish()
}

/// The file is refused at this line, with this in the text.
fn refused(text: &str, line: usize, part: &str) {
    let problems = load_text(text, &[], &[]).expect_err(text);
    let origin = Origin::File { path: "node.toml".into(), line };
    let found = problems.iter().any(|problem| problem.origin == origin && problem.what.contains(part));
    assert!(found, "{text}\nexpected line {line}: {part}\ngot {problems:#?}");
}

#[test]
fn what_is_unknown_is_refused_with_its_line_and_the_nearest_name() {
    refused("[scheme]\npayment_timout = \"8s\"\n", 2, "did you mean \"payment_timeout\"?");
    refused("\n\n[schema]\npayment_timeout = \"8s\"\n", 3, "did you mean \"scheme\"?");
    refused("[listen]\nxyz = 1\n", 2, "it has address, advertise, connections_max");
    refused("[listen]\npayment_timeout = \"8s\"\n", 2, "it belongs under [scheme]");
    refused("window = 10\n", 1, "belongs under [listen]");
    refused("listen = 5\n", 1, "write [listen]");
    refused("[[participants]]\nid = \"A\"\ncurrency = \"EUR\"\nfund = \"1\"\n", 4, "did you mean \"funded\"?");
    refused("[listen\n", 1, "");
    refused("[log]\nspin = \"1us\"\nspin = \"2us\"\n", 3, "duplicate");
}

#[test]
fn wrong_units_types_and_bounds_are_refused() {
    refused("[scheme]\n\npayment_timeout = 10\n", 3, "\"10\" has no unit; write for example \"10s\"");
    refused("[scheme]\npayment_timeout = 1.5\n", 2, "unknown unit");
    refused("[scheme]\npayment_timeout = \"10\"\n", 2, "no unit");
    refused("[scheme]\npayment_timeout = \"2h\"\n", 2, "out of bounds: from 100ms to 1h");
    refused("[scheme]\npayment_timeout = \"64MiB\"\n", 2, "unknown unit \"MiB\"");
    refused("[log]\nsegment_bytes = \"64MB\"\n", 2, "use one of B, KiB");
    refused("[log]\nsegment_bytes = \"5000000B\"\n", 2, "multiple of 4KiB");
    refused("[listen]\nwindow = \"many\"\n", 2, "without quotes");
    refused("[listen]\nwindow = 0\n", 2, "from 1 to 65536");
    refused("[listen]\nwindow = -5\n", 2, "no whole number");
    refused("[listen]\nwindow = true\n", 2, "cannot be boolean here");
    refused("[listen]\naddress = \"localhost\"\n", 2, "127.0.0.1:7800");
    refused("[log]\nsync = \"maybe\"\n", 2, "none of real, none");
    refused("[scheme]\nday_roll = \"25:00\"\n", 2, "time of day");
    refused("[[participants]]\nid = \"bank\"\ncurrency = \"EUR\"\n", 1, "A-Z");
    refused("[[participants]]\nid = \"BANK\"\ncurrency = \"EUR\"\nfunded = \"1.234\"\n", 1, "3 decimals");
    refused("[[participants]]\nid = \"BANK\"\ncurrency = \"EUR\"\nfunded = 5\n", 1, "in quotes");
    refused("[[participants]]\nid = \"BANK\"\ncurrency = \"EUR\"\ncount = 2\n", 1, "end in digits");
    refused("[cluster]\nroutes = \"2:7900\"\n", 2, "2=10.1.0.2:7900");
    refused("[cluster]\nroutes = \"2=a:1,2=b:1\"\n", 2, "two routes");
    refused("[participants]\nid = \"BANK\"\n", 1, "two brackets");
    let twice =
        "[[participants]]\nid = \"B1\"\ncurrency = \"EUR\"\n[[participants]]\nid = \"B1\"\ncurrency = \"EUR\"\n";
    refused(twice, 4, "twice");
}

#[test]
fn contradictions_are_refused_with_the_fix() {
    refused("[scheme]\npayment_timeout = \"5s\"\ncreditor_share = \"5s\"\n", 3, "make it less");
    refused("[log]\nsegment_bytes = \"1MiB\"\nbatch_bytes_max = \"512KiB\"\n", 2, "at least \"1028KiB\"");
    refused("[scheme]\nduplicate_window = \"5s\"\n", 2, "at least scheme.payment_timeout = \"10s\"");
    refused("[listen]\nsilence_max = \"1s\"\nsign_on_timeout = \"2s\"\n", 3, "shorter");
    let long = format!("[log]\ndirectory = \"/{}\"\n[admin]\nsocket = \"/{}\"\n", "d".repeat(90), "s".repeat(120));
    refused(&long, 4, "shorter one");
    // The other value of the pair may come from elsewhere.
    let problems = load_text("", &[], &["scheme.creditor_share=20s"]).unwrap_err();
    assert_eq!(problems[0].origin, Origin::Flag("--set scheme.creditor_share=20s".into()));
}

#[test]
fn flags_win_over_the_environment_and_it_over_the_file() {
    let file = "[scheme]\npayment_timeout = \"8s\"\nskew_max = \"2s\"\n[listen]\nwindow = 10\n";
    let environment = [("CROSSTIE_SCHEME_PAYMENT_TIMEOUT", "7s"), ("CROSSTIE_SCHEME_SKEW_MAX", "3s"), ("PATH", "x")];
    let loaded = load_text(file, &environment, &["scheme.payment_timeout=6s"]).unwrap();
    let seconds = std::time::Duration::from_secs;
    assert_eq!(loaded.config.scheme.payment_timeout, seconds(6));
    assert_eq!(loaded.config.scheme.skew_max, seconds(3));
    assert_eq!(loaded.config.listen.window, 10);
    assert_eq!(loaded.config.scheme.creditor_share, seconds(5));
    let origins: Vec<String> = ["payment_timeout", "skew_max", "creditor_share"]
        .map(|key| loaded.origin(settings::find("scheme", key).unwrap()).to_string())
        .into();
    let expected =
        ["flag --set scheme.payment_timeout=6s", "environment CROSSTIE_SCHEME_SKEW_MAX", "default"].map(String::from);
    assert_eq!(origins, expected);
    assert_eq!(loaded.origin(settings::find("listen", "window").unwrap()).to_string(), "node.toml:5");
}

#[test]
fn the_environment_and_flags_are_checked_too() {
    let check = |environment: &[(&str, &str)], flags: &[&str], part: &str| {
        let problems = load_text("", environment, flags).unwrap_err();
        assert!(problems[0].to_string().contains(part), "{problems:?}");
    };
    check(&[("CROSSTIE_SCHEME_PAYMENT_TIMOUT", "7s")], &[], "did you mean \"CROSSTIE_SCHEME_PAYMENT_TIMEOUT\"?");
    check(&[("CROSSTIE_SCHEME_PAYMENT_TIMEOUT", "7")], &[], "environment CROSSTIE_SCHEME_PAYMENT_TIMEOUT: ");
    check(&[], &["scheme.payment_timout=1s"], "did you mean \"scheme.payment_timeout\"?");
    check(&[], &["window"], "section.key=value");
    assert!(load_text("", &[("CROSSTIE_TARGET", "x"), ("CROSSTIE_CONFIG", "x")], &[]).is_ok());
}

#[test]
fn exemplars_are_for_this_machine_unless_said_otherwise() {
    let gives = |flags: &[&str]| load_text("", &[], flags).unwrap().config.console().unwrap().gives_exemplars;
    assert!(gives(&[]) && gives(&["ops.address=[::1]:7880"]));
    assert!(!gives(&["ops.address=0.0.0.0:7880"]));
    assert!(!gives(&["ops.hosts=ops.example"]), "behind a proxy everybody is on this machine");
    assert!(gives(&["ops.address=0.0.0.0:7880", "ops.exemplars=always"]));
}

#[test]
fn participants_of_a_sandbox() {
    let text = "[[participants]]\nid = \"BANK-0009\"\ncurrency = \"EUR\"\nfunded = \"1000.5\"\nnet_debit_cap = \"7\"\n\
                count = 3\n[[participants]]\nid = \"BANK-0009\"\ncurrency = \"JPY\"\n";
    let loaded = load_text(text, &[], &[]).unwrap();
    let ids: Vec<String> = loaded.config.participants.iter().map(|seed| seed.id.to_string()).collect();
    assert_eq!(ids, ["BANK-0009", "BANK-0010", "BANK-0011", "BANK-0009"]);
    let seed = &loaded.config.participants[2];
    assert_eq!((seed.funded_minor, seed.limits.net_debit_cap, seed.limits.payment_max), (100_050, 700, -1));
    // What is shown can be read again.
    let again = load_text(&show(&loaded, true), &[], &[]).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn the_example_is_current_and_means_the_defaults() {
    let loaded = load_text(&example(), &[], &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crosstie.example.toml");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == example(),
        "deploy/crosstie.example.toml is not current: cargo run -- config example > deploy/crosstie.example.toml"
    );
}

#[test]
fn defaults_are_those_of_the_parts() {
    let config = Config::default().node().unwrap();
    let log = persistence::Config::new("crosstie-data");
    assert_eq!(config.switch.rules, settlement::Rules::default());
    assert_eq!(format!("{:?}", config.switch.log), format!("{log:?}"));
    assert!(config.listen.ip().is_loopback());
}

#[test]
fn distances() {
    for (from, to, expected) in [("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
        assert_eq!(distance(from, to), expected, "{from} {to}");
    }
}
