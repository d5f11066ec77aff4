use super::*;

/// Files with one fault each: the text, its place as line:column, and pieces of the message and of the remedy.
const CASES: &[(&str, &str, &str, &str)] = &[
    // Syntax.
    ("[control", "1:9", "unclosed table, expected `]`", "correct the TOML syntax"),
    ("[control]\nsocket = /run/g.sock", "2:10", "string values must be quoted", "double quotes"),
    ("[control]\nsocket = \"/run/g.sock", "2:22", "invalid basic string", "double quotes"),
    ("[flows]\ncapacity = 1\ncapacity = 2", "3:1", "duplicate key", "keep one"),
    ("[flows]\n[flows]", "2:2", "duplicate key", "keep one"),
    ("[flows]\ncapacity 5", "2:10", "expected", "correct the TOML syntax"),
    // Keys and sections.
    ("[snatt]\nports = \"2000-3000\"", "1:2", "unknown key `snatt`", "did you mean `snat`?"),
    ("[snat]\nport = \"2000-3000\"", "2:1", "[snat] unknown key `port`", "did you mean `ports`?"),
    ("[flows]\nhalfopen = 5", "2:1", "[flows] unknown key `halfopen`", "did you mean `half_open`?"),
    ("[flows]\nxyz = 5", "2:1", "[flows] unknown key `xyz`", "use one of capacity, half_open"),
    ("[[services]]\nname = \"a\"", "1:3", "unknown key `services`", "did you mean `service`?"),
    ("[service]\nname = \"a\"", "1:1", "service: expected an array of tables", "[[service]]"),
    ("[interface]\nname = \"eth0\"", "1:1", "interface: expected an array of tables", "[[interface]]"),
    ("[[snat]]\nports = \"2000-3000\"", "1:1", "snat: expected a table, found an array", "one table [snat]"),
    ("service = [3]", "1:12", "service: expected a table, found the number 3", "[[service]]"),
    ("[[backend]]\naddress = \"10.0.0.2:80\"", "1:3", "backend does not belong here", "[[service.backend]]"),
    ("[limits]\nconnections = 5", "1:2", "limits does not belong here", "[service.limits]"),
    // Values of the wrong form.
    ("[control]\nsocket = 5", "2:10", "[control] socket: expected a string, found the number 5", "absolute path"),
    ("[control]\nsocket = \"gateway.sock\"", "2:10", "`gateway.sock` is not an absolute path", "/run/gateway"),
    ("[control]\nstate = \"./state\"", "2:9", "`./state` is not an absolute path", "such as"),
    ("[flows]\ncapacity = \"5\"", "2:12", "expected a number, found the string \"5\"", "without quotes"),
    ("[flows]\ncapacity = 1.5", "2:12", "expected a number, found the number 1.5", "a whole number from 1"),
    ("[flows]\ncapacity = 0", "2:12", "0 is out of range", "from 1 to 67108864"),
    ("[flows]\ncapacity = -1", "2:12", "-1 is out of range", "from 1 to 67108864"),
    ("[flows]\ncapacity = 67108865", "2:12", "67108865 is out of range", "from 1 to 67108864"),
    ("[flows]\nhalf_open = 0x0", "2:13", "0x0 is out of range", "from 1 to"),
    ("[backends]\ncapacity = 0", "2:12", "0 is out of range", "from 1 to"),
    ("[defaults]\nidle_timeout = 30", "2:16", "expected a string, found the number 30", "\"30s\""),
    ("[defaults]\nidle_timeout = \"30\"", "2:16", "`30` is not a duration: time unit needed", "\"30s\""),
    ("[defaults]\nidle_timeout = \"2 fortnights\"", "2:16", "unknown time unit", "\"2h4m\""),
    ("[defaults]\nidle_timeout = \"0s\"", "2:16", "idle_timeout 0s is out of range", "1s to 30days"),
    ("[defaults]\nidle_timeout = \"31days\"", "2:16", "is out of range", "1s to 30days"),
    ("[defaults]\ndrain_timeout = \"1y\"", "2:17", "is out of range", "0s to 30days"),
    ("[defaults]\nalgorithm = \"magelv\"", "2:13", "`magelv` is not one of maglev", "did you mean `maglev`?"),
    ("[defaults]\nalgorithm = \"round-robin\"", "2:13", "`round-robin` is not one of", "use one of these"),
    ("[defaults]\nno_backend = true", "2:14", "no_backend: expected a string, found true", "a name in quotes"),
    ("[defaults]\nunknown_flow = \"Reset\"", "2:16", "`Reset` is not one of reset, drop", "did you mean `reset`?"),
    ("[snat]\nports = \"5000\"", "2:9", "`5000` is not a port range", "\"40000-65535\""),
    ("[snat]\nports = \"65535-40000\"", "2:9", "`65535-40000` is reversed", "lower port first"),
    ("[snat]\nports = \"40000-70000\"", "2:9", "a port that is not 1 to 65535", "\"40000-65535\""),
    ("[snat]\nports = \"0-2000\"", "2:9", "a port that is not 1 to 65535", "\"40000-65535\""),
    ("[snat]\nports = \"40000-40010\"", "2:9", "has 11 ports, at least 64", "larger range"),
    ("[snat]\nports = \"22-2000\"", "2:9", "begins below 1024", "1024 or above"),
    // Addresses and names of the front server.
    ("[snat]\naddresses = [\"10.0.0.1\", \"0.0.0.0\"]", "2:26", "0.0.0.0 is the unspecified address", "one host"),
    ("[snat]\naddresses = [\"127.0.0.1\"]", "2:14", "127.0.0.1 is a loopback address", "on the network"),
    ("[snat]\naddresses = [\"10.0.0.1\", \"10.0.0.1\"]", "2:26", "10.0.0.1 is there twice", "remove one"),
    ("[snat]\naddresses = [\"10.0.0.1/24\"]", "2:14", "is not an IP address", "leave the prefix length out"),
    ("[public]\naddress = [\"224.0.0.1\"]", "2:12", "224.0.0.1 is a multicast address", "one host"),
    ("[public]\naddress = [\"255.255.255.255\"]", "2:12", "is the broadcast address", "one host"),
    ("[public]\naddress = [\"ff02::1\"]", "2:12", "ff02::1 is a multicast address", "one host"),
    ("[public]\naddress = \"fe80::1\"", "2:11", "fe80::1 is a link-local address", "global"),
    ("[public]\naddress = \"::ffff:1.2.3.4\"", "2:11", "an IPv4 address in IPv6 form", "write it as IPv4"),
    ("[public]\naddress = \"1.2.3.4:80\"", "2:11", "is not an IP address", "leave the port out: \"1.2.3.4\""),
    ("[public]\naddress = [\"1.2.3.4\", 5]", "2:23", "expected a string, found the number 5", "an IP address"),
    ("[public]\nhostname = \"tcp_1.example.com\"", "2:12", "is not a host name", "joined by dots"),
    ("[public]\nhostname = \"tcp://example.com\"", "2:12", "is not a host name", "without scheme and port"),
    (
        "[public]\nports = \"39000-41000\"\n[snat]\nports = \"40000-65535\"",
        "2:9",
        "overlaps the snat range",
        "separate",
    ),
    ("[metrics]", "1:1", "[metrics] listen is missing", "127.0.0.1:9469"),
    ("[metrics]\nlisten = \"127.0.0.1\"", "2:10", "`127.0.0.1` is not an address and port", "\"127.0.0.1:443\""),
    ("[metrics]\nlisten = \"127.0.0.1:0\"", "2:10", "the port is 0", "1 to 65535"),
    ("metrics.listen = \"127.0.0.1:5000\"\nsnat.ports = \"4000-6000\"", "1:18", "inside the snat range", "outside it"),
    ("[dashboard]", "1:1", "[dashboard] listen is missing", "127.0.0.1:9470"),
    ("[dashboard]\nlisten = \"127.0.0.1:0\"", "2:10", "the port is 0", "1 to 65535"),
    ("[dashboard]\nlisten = \"127.0.0.1:1\"\nuser = \"me\"", "3:1", "unknown key `user`", "use one of listen"),
    (
        "dashboard.listen = \"127.0.0.1:5000\"\nsnat.ports = \"4000-6000\"",
        "1:20",
        "inside the snat range",
        "outside it",
    ),
    ("[[interface]]\nmode = \"tc\"", "1:1", "interface #1: name is missing", "name = \"eth0\""),
    ("[[interface]]\nname = \"averylonginterface\"", "2:8", "longer than 15 characters", "ip link"),
    ("[[interface]]\nname = \"eth 0\"", "2:8", "is not an interface name", "ip link"),
    ("[[interface]]\nname = \"a\"\n[[interface]]\nname = \"a\"", "4:8", "\"a\" is there already", "once"),
    (
        "[[interface]]\nname = \"a\"\nmode = \"xdp\"",
        "3:8",
        "`xdp` is not one of auto, xdp-native",
        "did you mean `xdp-native`?",
    ),
    ("[docker]\nsocket = \"docker.sock\"", "2:10", "is not an absolute path", "such as"),
    // A service alone.
    ("[[service]]\nlisten = \":80\"", "1:1", "service #1: name is missing", "name ="),
    ("[[service]]\nname = \"\"\nlisten = \":80\"", "2:8", "the name is empty", "1 to 63"),
    ("[[service]]\nname = \"Mqtt\"\nlisten = \":80\"", "2:8", "has a 'M' in it", "a-z"),
    ("[[service]]\nname = \"-a\"\nlisten = \":80\"", "2:8", "begins with \"-\"", "letter or a digit"),
    (
        "[[service]]\nname = \"a1234567890123456789012345678901234567890123456789012345678901234\"\nlisten = \":80\"",
        "2:8",
        "the name has 65 characters",
        "1 to 63",
    ),
    ("[[service]]\nname = \"a\"", "1:1", "service \"a\": listen is missing", "listen = \":443\""),
    ("[[service]]\nname = \"a\"\nlisten = []", "1:1", "service \"a\": listen is an empty list", "address and port"),
    ("[[service]]\nname = \"a\"\nlisten = \"80\"", "3:10", "`80` is not ADDRESS:PORT", "\":443\""),
    ("[[service]]\nname = \"a\"\nlisten = \":0\"", "3:10", "`:0` is not ADDRESS:PORT", "\":443\""),
    ("[[service]]\nname = \"a\"\nlisten = \":65536\"", "3:10", "port of 1 to 65535", "\":443\""),
    ("[[service]]\nname = \"a\"\nlisten = 80", "3:10", "expected a string, found the number 80", "\":443\""),
    ("[[service]]\nname = \"a\"\nlisten = \"::1:80\"", "3:10", "`::1:80` is not", "[::1:80]:443"),
    ("[[service]]\nname = \"a\"\nlisten = \"*:80\"", "3:10", "`*:80` is not", "write \":80\" for every public address"),
    (
        "[[service]]\nname = \"a\"\nlisten = \"tcp://1.2.3.4:80\"",
        "3:10",
        "is not ADDRESS",
        "scheme out: \"1.2.3.4:80\"",
    ),
    ("[[service]]\nname = \"a\"\nlisten = \"host:80\"", "3:10", "is not ADDRESS", "the IP address of `host`"),
    ("[[service]]\nname = \"a\"\nlisten = \"0.0.0.0:80\"", "3:10", "is the unspecified address", "write \":80\""),
    ("[[service]]\nname = \"a\"\nlisten = \"[::1]:80\"", "3:10", "::1 is a loopback address", "on the network"),
    (
        "[[service]]\nname = \"a\"\nlisten = [\":80\", \":80\"]",
        "3:18",
        "overlaps another listen of the same",
        "remove one",
    ),
    ("[[service]]\nname = \"a\"\nlisten = [\":80\", \"1.2.3.4:80\"]", "3:18", "overlaps another listen", "remove one"),
    (
        "snat.ports = \"40000-65535\"\n[[service]]\nname = \"mqtt\"\nlisten = \"1.2.3.4:40003\"",
        "4:10",
        "service \"mqtt\": port 40003 is inside the snat range 40000-65535",
        "choose a port below 40000 or change [snat] ports",
    ),
    ("[[service]]\nname = \"a\"\nlisten = \":80\"\nidle_timeout = \"0s\"", "4:16", "service \"a\": idle_timeout", "1s"),
    ("[[service]]\nname = \"a\"\nlisten = \":80\"\nbackends = []", "4:1", "unknown key `backends`", "`backend`?"),
    // Services beside others.
    (
        "service = [\n{ name = \"a\", listen = \":80\" },\n{ name = \"a\", listen = \":81\" }]",
        "3:10",
        "the name \"a\" is taken",
        "its own name",
    ),
    (
        "service = [\n{ name = \"a\", listen = \":80\" },\n{ name = \"b\", listen = \"1.2.3.4:80\" }]",
        "3:24",
        "service \"b\": listen 1.2.3.4:80 overlaps service \"a\"",
        "that is free",
    ),
    (
        "public.address = \"1.2.3.4\"\n\
         service = [{ name = \"a\", listen = \"1.2.3.4:80\" },\n{ name = \"b\", listen = \":80\" }]",
        "3:24",
        "listen :80 overlaps service \"a\"",
        "that is free",
    ),
    (
        "service = [{ name = \"a\", listen = \"[2001:db8::1]:80\" },\n\
         { name = \"b\", listen = \"[2001:DB8:0::1]:80\" }]",
        "2:24",
        "listen [2001:db8::1]:80 overlaps service \"a\"",
        "that is free",
    ),
    (
        "backends.capacity = 1\n[[service]]\nname = \"a\"\nlisten = \":80\"\n\
         backend = [{ address = \"10.0.0.2:80\" }, { address = \"10.0.0.3:80\" }]",
        "2:1",
        "2 backends up to here are more than [backends] capacity 1",
        "capacity to 2 or more",
    ),
    // Health and limits.
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth.kind = \"tpc\"",
        "4:15",
        "service \"a\": health kind: `tpc` is not one of tcp, http, grpc, none",
        "did you mean `tcp`?",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth.interval = \"1s\"\nhealth.timeout = \"2s\"",
        "5:18",
        "2s is longer",
        "shorter",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth.timeout = \"0s\"",
        "4:18",
        "timeout: 0s is out of range",
        "use 1ms to 1h",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth.rise = 0",
        "4:15",
        "rise: 0 is out of range",
        "from 1 to 100",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth.fall = 1000",
        "4:15",
        "fall: 1000 is out of range",
        "from 1 to 100",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth.path = \"/healthz\"",
        "4:15",
        "service \"a\": health path: a probe of kind tcp has none",
        "set kind to http, or leave path out",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nhealth = { kind = \"http\", expect = \"2xx\" }",
        "4:36",
        "health expect: `2xx` is not a list of HTTP statuses",
        "\"200-399\"",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nlimits.connections = 0",
        "4:22",
        "connections: 0 is out",
        "from 1 to",
    ),
    (
        "[[service]]\nname = \"a\"\nlisten = \":80\"\nlimits.conections = 5",
        "4:8",
        "unknown key `conections`",
        "did you mean",
    ),
];

/// Like [`CASES`], for one service on 1.2.3.4:80 whose backends begin on line 5.
const BACKEND_CASES: &[(&str, &str, &str, &str)] = &[
    ("weight = 1", "4:1", "backend #1: address is missing", "address = "),
    ("address = \"10.0.0.2\"", "5:11", "`10.0.0.2` is not an address and port", "\"10.0.0.2:443\""),
    ("address = \"app:80\"", "5:11", "`app:80` is not an address and port", "names are not looked up"),
    ("address = \"fd00::2\"", "5:11", "`fd00::2` is not an address and port", "\"[fd00::2]:443\""),
    ("address = \"10.0.0.2:0\"", "5:11", "backend 10.0.0.2:0 has port 0", "from 1 to 65535"),
    ("address = \"0.0.0.0:80\"", "5:11", "backend 0.0.0.0 is the unspecified address", "one host"),
    ("address = \"127.0.0.1:80\"", "5:11", "backend 127.0.0.1 is a loopback address", "on the network"),
    ("address = \"224.0.0.2:80\"", "5:11", "backend 224.0.0.2 is a multicast address", "one host"),
    ("address = \"255.255.255.255:80\"", "5:11", "is the broadcast address", "one host"),
    (
        "address = \"1.2.3.4:8080\"\n[snat]\naddresses = \"1.2.3.4\"",
        "5:11",
        "an address of this server itself",
        "container",
    ),
    ("address = \"1.2.3.4:80\"", "5:11", "an address of the service itself", "server behind it"),
    ("address = \"10.0.0.2:80\"\nweight = 0", "6:10", "weight: 0 is out of range", "1 to 65535"),
    ("address = \"10.0.0.2:80\"\nweight = 65536", "6:10", "weight: 65536 is out of range", "1 to 65535"),
    ("address = \"10.0.0.2:80\"\nwieght = 5", "6:1", "backend #1: unknown key `wieght`", "did you mean `weight`?"),
    (
        "address = \"10.0.0.2:80\"\n[[service.backend]]\naddress = \"10.0.0.2:80\"",
        "7:11",
        "backend 10.0.0.2:80 is there already, as number 1",
        "`weight`",
    ),
    (
        "address = \"10.0.0.2:80\"\n[snat]\naddresses = \"fd00::1\"",
        "5:11",
        "[snat] has no IPv4 address",
        "internal IPv4",
    ),
];

fn assert_only_finding(text: &str, place: &str, message: &str, remedy: &str) {
    let Err(errors) = parse(text) else { panic!("accepted:\n{text}") };
    let [finding] = errors.findings() else { panic!("expected one finding, got:\n{errors}\nfor:\n{text}") };
    let line = finding.to_string();
    assert!(line.starts_with(&format!("gateway.toml:{place}: ")), "expected it at {place}: {line}\nfor:\n{text}");
    assert!(finding.message.contains(message), "expected {message:?} in: {line}\nfor:\n{text}");
    assert!(finding.remedy.contains(remedy), "expected {remedy:?} in: {line}\nfor:\n{text}");
}

#[test]
fn faults_are_found_at_their_place_with_a_remedy() {
    for (text, place, message, remedy) in CASES {
        assert_only_finding(text, place, message, remedy);
    }
}

#[test]
fn faults_of_backends_are_found_at_their_place_with_a_remedy() {
    for (backend, place, message, remedy) in BACKEND_CASES {
        let text = format!("[[service]]\nname = \"a\"\nlisten = \"1.2.3.4:80\"\n[[service.backend]]\n{backend}");
        assert_only_finding(&text, place, message, remedy);
    }
}

#[test]
fn families_without_a_counterpart_are_refused() {
    let text = |listen: &str, backend: &str| {
        format!("[[service]]\nname = \"a\"\nlisten = {listen}\n[[service.backend]]\naddress = \"{backend}\"")
    };
    let both = "[\"1.2.3.4:80\", \"[2001:db8::1]:80\"]";
    let message = "listen [2001:db8::1]:80 is IPv6, but the service has no IPv6 backend";
    assert_only_finding(&text(both, "10.0.0.2:80"), "3:25", message, "add an IPv6 backend");

    let message = "backend fd00::2 is IPv6, but the service has no IPv6 listen";
    assert_only_finding(&text("\"1.2.3.4:80\"", "[fd00::2]:80"), "5:11", message, "the other family");

    let every = format!("{}\n[public]\naddress = \"1.2.3.4\"", text("\":80\"", "[fd00::2]:80"));
    assert_only_finding(&every, "5:11", message, "the other family");
}

#[test]
fn nesting_without_end_is_refused() {
    for text in
        [format!("{} = 1", ["a"; 100_000].join(".")), "[".repeat(100_000), format!("a = {}", "[".repeat(100_000))]
    {
        assert!(parse(&text).is_err());
    }
}

#[test]
fn metrics_or_dashboard_and_a_service_on_one_port_are_refused() {
    let text = "metrics.listen = \"0.0.0.0:80\"\n[[service]]\nname = \"a\"\nlisten = \"1.2.3.4:80\"";
    assert_only_finding(text, "4:10", "takes the connections to [metrics] listen", "another port");
    let text = "dashboard.listen = \"1.2.3.4:80\"\n[[service]]\nname = \"a\"\nlisten = \"1.2.3.4:80\"";
    assert_only_finding(text, "4:10", "takes the connections to [dashboard] listen", "another port");
}

#[test]
fn metrics_and_dashboard_on_one_port_are_refused() {
    let text = "metrics.listen = \"127.0.0.1:80\"\ndashboard.listen = \"127.0.0.1:80\"";
    assert_only_finding(text, "2:20", "is [metrics] listen as well", "another port");
}

#[test]
fn socket_path_that_no_socket_can_have_is_refused() {
    let text = format!("control.socket = \"/{}\"", "a".repeat(107));
    assert_only_finding(&text, "1:18", "the path has 108 bytes", "shorter path");
}

#[test]
fn all_findings_are_reported_in_the_files_order() {
    let text = "[[service]]\nname = \"A\"\nlisten = \":99999\"\nfoo = 1\n[control]\nsocket = \"x\"\n[flow]\n";
    let errors = parse(text).expect_err("four faults");
    let places: Vec<_> = errors.findings().iter().map(|finding| (finding.line, finding.column)).collect();
    assert_eq!(places, [(2, 8), (3, 10), (4, 1), (6, 10), (7, 2)].map(|(line, column)| (Some(line), Some(column))));
}

#[test]
fn columns_count_characters_not_bytes() {
    assert_only_finding(
        "interface = [{ name = \"é\", mode = \"tcc\" }]",
        "1:35",
        "`tcc` is not one of",
        "did you mean `tc`?",
    );
}

#[test]
fn finding_prints_as_file_line_column_message_remedy_and_as_json() {
    let text = "[snat]\nports = \"40000-65535\"\n[[service]]\nname = \"mqtt\"\nlisten = \":40003\"";
    let errors = parse(text).expect_err("inside the snat range");
    let message = "service \"mqtt\": port 40003 is inside the snat range 40000-65535";
    let remedy = "choose a port below 40000 or change [snat] ports";
    assert_eq!(errors.to_string(), format!("gateway.toml:5:10: {message}; {remedy}"));
    assert_eq!(
        serde_json::to_value(&errors).expect("JSON"),
        serde_json::json!([{ "file": "gateway.toml", "line": 5, "column": 10, "message": message, "remedy": remedy }])
    );
}

#[test]
fn unreadable_file_is_one_finding_without_a_line() {
    let errors = Config::load("/nonexistent/gateway.toml").expect_err("there is no such file");
    assert!(errors.to_string().starts_with("/nonexistent/gateway.toml: cannot read the configuration: No such file"));
}

#[test]
fn file_that_is_not_text_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, b"[control]\n\xff").expect("a file");
    let errors = Config::load(&path).expect_err("not UTF-8");
    assert!(errors.to_string().contains("the byte at offset 10 is not UTF-8"), "{errors}");
}
