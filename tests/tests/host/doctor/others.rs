//! Programs of others on an interface: here those of a gateway whose pins the doctor is not told of.

use gateway_tests::{BackendSide, Gateway, GatewayConfig, Mode, Topology};
use serde_json::Value;

use super::{doctor, of_check};

#[test]
fn programs_of_others_are_found_and_the_printed_fix_takes_them_off() {
    let lab = Topology::new(BackendSide::OneArm, 1).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative));
    let config = lab.directory().join("other.toml").display().to_string();
    std::fs::write(&config, "[[interface]]\nname = \"eth0\"\nmode = \"xdp-native\"\n").unwrap();
    let report = || -> Value { doctor(&lab.front, &[], &["--config", &config, "--json"]).json() };
    for (check, program, result) in [("XDP program", "gateway_xdp", "error"), ("TC programs", "gateway_tc", "warning")]
    {
        let before = report();
        let finding = of_check(&before, check)[0];
        assert_eq!(finding["result"], result, "{before:#}");
        assert!(finding["detail"].as_str().expect("text").contains(program), "{finding}");
        lab.front.output("sh", &["-ec", finding["fix"].as_str().expect("a command")]).success();
        let after = report();
        assert_eq!(of_check(&after, check)[0]["result"], "ok", "{after:#}");
    }
    drop(gateway);
}
