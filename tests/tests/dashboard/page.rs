//! What the page shows, and that it goes on to do so by itself.

use std::fs;

use gateway_tests::{Process, gateway, leftovers, traffic::client};

use super::stage::{PATIENCE, Stage, URL, backends};

#[test]
fn services_backends_and_health_are_shown_and_go_on_by_themselves() {
    let stage = Stage::new(2);
    let mut servers = stage.serve(0, &[0, 1]);
    let gateway = stage.start();
    stage.add(&gateway, 0, "web", &backends(&servers));
    let mut browser = stage.browser();
    browser.open(URL);
    browser.wait_for("#connection", |text| text == "live");
    let card = browser.wait_for("[data-service=web]", |text| text.contains("2 of 2 backends serve"));
    assert!(card.contains("tcp://tcp-1.example.com:20000"), "{card}");
    for host in &stage.lab.backends {
        assert!(card.contains(&format!("{}:8000", host.v4)), "{card}");
    }
    assert!(browser.text("#interfaces").contains("eth0 xdp-native"));

    // The page is not loaded again: what is set in it stays.
    browser.eval("window.first = true");
    let open: Vec<_> =
        (0..7).map(|_| client::connect(&stage.lab.client, stage.public(0)).expect("the service answers")).collect();
    browser.wait_for("#overview article:nth-child(2) strong", |text| text == "7");
    let per_second = "[data-service=web] tbody td.connections";
    let new = browser.eval(&format!("document.querySelectorAll({per_second:?}).length")).as_u64();
    assert_eq!(new, Some(2));
    drop(open);
    browser.wait_for("#overview article:nth-child(2) strong", |text| text == "0");

    drop(servers.pop());
    let card = browser.wait_for("[data-service=web]", |text| text.contains("1 of 2 backends serve"));
    assert!(card.to_lowercase().contains("connection refused"), "{card}");
    assert_eq!(browser.eval("window.first"), true);
    assert_eq!(browser.problems(), [""; 0]);
    let elsewhere: Vec<_> = browser.requests().iter().filter(|url| !url.starts_with(URL)).collect();
    assert!(elsewhere.iter().all(|url| url.starts_with("data:")), "{elsewhere:?}");
}

#[test]
fn page_outlives_the_daemon() {
    let stage = Stage::new(1);
    let servers = stage.serve(0, &[0]);
    let gateway = stage.start();
    stage.add(&gateway, 0, "web", &backends(&servers));
    let mut browser = stage.browser();
    browser.open(URL);
    browser.wait_for("[data-service=web]", |text| text.contains("1 of 1 backends serve"));
    browser.eval("window.first = true");
    gateway.stop().success();
    browser.wait_for("#connection", |text| text == "no connection, trying again");
    assert!(browser.text("[data-service=web]").contains("web"), "what was known stays");

    let gateway = stage.start();
    browser.wait_for("#connection", |text| text == "live");
    stage.add(&gateway, 1, "another", &[]);
    browser.wait_for("[data-service=another]", |text| text.contains("no backends"));
    assert_eq!(browser.eval("window.first"), true);
}

#[test]
fn text_of_others_stays_text() {
    let stage = Stage::new(1);
    let gateway = stage.start();
    // Names cannot have markup; the command that stands behind a backend can, and an event tells it.
    let hostile = "<img src=x onerror=document.title=1>";
    let backend = format!("{}:8000", stage.lab.backends[0].v4);
    stage.add(&gateway, 0, "web", &[format!("{backend},command=sh -c '{hostile}'")]);
    let mut browser = stage.browser();
    browser.open(URL);
    browser.wait_for("[data-service=web]", |text| !text.is_empty());
    gateway.cli(&["backend", "drain", "web", &backend]).success();
    browser.wait_for("#events", |text| text.contains(hostile));
    assert_eq!(browser.eval("document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.eval("document.title"), "gateway");
    // The browser itself refuses to make markup of text, and to ask anybody else for anything.
    let refused = "try { document.body.innerHTML = '<b>'; 'made' } catch (error) { error.name }";
    assert_eq!(browser.eval(refused), "TypeError");
    let refused = "new Promise((told) => {
        document.addEventListener('securitypolicyviolation', (event) => told(event.effectiveDirective));
        fetch('http://127.0.0.1:1/').catch(() => {});
    })";
    assert_eq!(browser.eval(refused), "connect-src");
}

#[test]
fn page_fits_a_phone_and_follows_the_readers_preferences() {
    let stage = Stage::new(2);
    let servers = stage.serve(0, &[0, 1]);
    let gateway = stage.start();
    let long = "a-service-with-a-name-that-is-as-long-as-names-of-services-can-b";
    stage.add(&gateway, 0, &long[..63], &backends(&servers));
    let mut browser = stage.browser();
    for (width, columns) in [(375, 1), (800, 1), (1400, 2)] {
        browser.screen(width, 900, 1.0);
        browser.open(URL);
        browser.wait_for("#services article", |text| text.contains("2 of 2 backends serve"));
        let wide = browser.eval("document.documentElement.scrollWidth").as_u64();
        assert_eq!(wide, Some(width.into()), "the page is wider than the screen");
        let style = "getComputedStyle(document.querySelector('.columns')).gridTemplateColumns.split(' ').length";
        assert_eq!(browser.eval(style), columns);
    }
    let background = "getComputedStyle(document.body).backgroundColor";
    browser.prefer("prefers-color-scheme", "light");
    assert_eq!(browser.eval(background), "rgb(244, 245, 247)");
    browser.prefer("prefers-color-scheme", "dark");
    assert_eq!(browser.eval(background), "rgb(14, 17, 21)");
    browser.prefer("prefers-reduced-motion", "reduce");
    let motion = "getComputedStyle(document.body).transitionDuration";
    assert_eq!(browser.eval(motion), "0s");
}

#[test]
fn contrast_is_enough_in_light_and_dark() {
    let stage = Stage::new(1);
    let _gateway = stage.start();
    let mut browser = stage.browser();
    browser.open(URL);
    browser.wait_for("#connection", |text| text == "live");
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme);
        for text in ["text", "muted", "accent", "good", "poor", "bad"] {
            for ground in ["page", "card", "faint"] {
                let ratio = browser.eval(&contrast(text, ground)).as_f64().expect("a ratio");
                // WCAG 2.2, 1.4.3, level AA.
                assert!(ratio >= 4.5, "{scheme}: --{text} on --{ground} has a contrast of {ratio:.2}");
            }
        }
    }
}

/// The contrast of two colours of the style sheet, by WCAG's formula.
fn contrast(text: &str, ground: &str) -> String {
    format!(
        "(() => {{
            const light = (name) => {{
                const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
                const [r, g, b] = [1, 3, 5].map((at) => {{
                    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
                    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
                }});
                return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
            }};
            const both = [light('--{text}'), light('--{ground}')];
            return Math.max(...both) / Math.min(...both);
        }})()"
    )
}

#[test]
fn taken_address_is_refused_before_anything_is_touched() {
    let stage = Stage::new(1);
    let _taken = stage.lab.front.run(|| std::net::TcpListener::bind("127.0.0.1:9470").expect("a free port"));
    let mut run = gateway::run(&stage.lab, &gateway::program(), &stage.config());
    let output = Process::start(&mut run).wait(PATIENCE);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("listen on 127.0.0.1:9470, which is [dashboard] listen"), "{output:?}");
    assert!(leftovers::pins_of(stage.lab.id()).is_empty());
    assert!(!fs::exists(stage.lab.directory().join("gateway.sock")).expect("a folder"));
}
