//! nginx and curl: files, parts of files, and TLS that ends at the backend.

use std::fs;

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Host, Lab, Mode, Process, Topology,
    scenario::{BACKEND_PORT, PORT},
    traffic::payload,
};

use crate::{add_service, serve, text};

const FILE: usize = 30_000_000;
const TLS_PORT: u16 = BACKEND_PORT + 443;

/// Starts nginx with a file to fetch, and gives its content. With a certificate it serves TLS too.
#[track_caller]
fn nginx(lab: &Lab, host: &Host, has_certificate: bool) -> (Process, Vec<u8>) {
    let directory = lab.directory();
    let here = text(&directory);
    let content = payload::bytes(7, FILE);
    fs::create_dir_all(directory.join("www")).unwrap();
    fs::write(directory.join("www/file"), &content).unwrap();
    let tls = format!("listen {TLS_PORT} ssl; ssl_certificate {here}/certificate; ssl_certificate_key {here}/key;");
    let tls = if has_certificate { tls } else { String::new() };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("{kind}_temp_path {here}/{kind};")).concat();
    let configuration = format!(
        "daemon off; user root; pid {here}/nginx.pid; events {{}} http {{ access_log off; {temporary}
         server {{ listen {BACKEND_PORT}; listen [::]:{BACKEND_PORT}; {tls} root {here}/www; }} }}"
    );
    let path = directory.join("nginx.conf");
    fs::write(&path, configuration).unwrap();
    (serve(host, BACKEND_PORT, "nginx", &["-e", "stderr", "-c", text(&path)]), content)
}

/// Runs curl on the client; what it has fetched, or its exit code.
#[track_caller]
fn curl(lab: &Lab, arguments: &[&str]) -> Result<Vec<u8>, i32> {
    let fetched = lab.directory().join("fetched");
    let bounded = ["-sS", "--fail", "--max-time", "30", "-o", text(&fetched)];
    let output = lab.client.output("curl", &[&bounded, arguments].concat());
    match output.code.expect("curl ends by itself") {
        0 => Ok(fs::read(&fetched).unwrap()),
        failure => Err(failure),
    }
}

/// A certificate that signs itself, for the first public address.
#[track_caller]
fn make_certificate(lab: &Lab) {
    let (key, certificate) = (lab.directory().join("key"), lab.directory().join("certificate"));
    let alternative = format!("subjectAltName=IP:{}", lab.front.public_v4[0]);
    let make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
    let into = ["-keyout", text(&key), "-out", text(&certificate), "-subj", "/CN=tcp-1.example.com"];
    lab.client.output("openssl", &[&make[..], &into, &["-addext", &alternative]].concat()).success();
}

#[test]
fn files_and_ranges_of_files_arrive_whole() {
    for (mode, side, family) in
        [(Mode::XdpNative, BackendSide::Segment, Family::V4), (Mode::Tc, BackendSide::Bridge, Family::V6)]
    {
        let lab = Topology::new(side, 1).build();
        let (_nginx, content) = nginx(&lab, &lab.backends[0], false);
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode));
        let to = lab.front.at(family, PORT);
        add_service(&gateway, "web", to, &lab.backends[0].at(family, BACKEND_PORT).to_string());
        let url = format!("http://{to}/file");
        let fetched = curl(&lab, &[&url]).unwrap();
        assert_eq!(payload::digest(&fetched), payload::digest(&content), "{mode:?} {family:?}");
        let range = curl(&lab, &["--range", "1000000-1999999", &url]).unwrap();
        assert!(range == content[1_000_000..2_000_000], "{mode:?} {family:?}: another range of {}", range.len());
        assert_eq!(curl(&lab, &[&format!("{url}s")]), Err(22), "a missing file is an HTTP error, nothing else");
    }
}

#[test]
fn tls_goes_through_to_the_backend() {
    const NOT_VERIFIED: i32 = 60;
    let lab = Topology::two_arm(1).build();
    make_certificate(&lab);
    let (_nginx, content) = nginx(&lab, &lab.backends[0], true);
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative));
    let [service, other] = lab.front.public_v4.map(|address| (address, PORT).into());
    for (name, listen) in [("tls", service), ("other", other)] {
        add_service(&gateway, name, listen, &lab.backends[0].at(Family::V4, TLS_PORT).to_string());
    }
    let (url, certificate) = (format!("https://{service}/file"), lab.directory().join("certificate"));
    let fetched = curl(&lab, &["--cacert", text(&certificate), &url]).unwrap();
    assert_eq!(payload::digest(&fetched), payload::digest(&content));
    assert_eq!(curl(&lab, &[&url]), Err(NOT_VERIFIED), "nobody but the test has signed it");
    let url = format!("https://{other}/file");
    assert_eq!(curl(&lab, &["--cacert", text(&certificate), &url]), Err(NOT_VERIFIED), "it is for another address");
}
