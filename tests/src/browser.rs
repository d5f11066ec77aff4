//! Chromium without a screen, as a reader of pages that the gateway serves.
//!
//! It is driven by its DevTools protocol over a pipe: messages are JSON that ends with a zero byte, and the browser ends
//! when the pipe does. It runs inside a namespace, so it sees what a browser on that host sees.

use std::{
    collections::BTreeSet,
    fmt,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::Namespace;

/// Chromium takes its time to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `sh` moves the pipe to where Chromium looks for it.
const PIPE: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// The root user has no sandbox to give, and containers have a small `/dev/shm`.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
];

/// A browser with one page. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    /// Errors of scripts, refused resources and violated policies, as the browser told them.
    problems: Vec<String>,
    /// Everything that the page has asked for.
    requests: BTreeSet<String>,
}

impl Browser {
    /// Starts a browser in `namespace` that keeps its files in `directory`.
    #[track_caller]
    pub fn start(namespace: &Namespace, directory: &Path) -> Self {
        let profile = format!("--user-data-dir={}", directory.join("browser").display());
        let mut child = namespace
            .command_with_machine_sysfs("sh")
            .args(["-c", PIPE, "sh", "chromium", &profile])
            .args(ARGUMENTS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let to = child.stdin.take();
        let mut messages = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, from) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while messages.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let value = serde_json::from_slice(&message).expect("Chromium writes JSON");
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let (problems, requests) = (Vec::new(), BTreeSet::new());
        let mut browser = Self { child, to, from, session: None, calls: 0, problems, requests };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Goes to a page.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// What an expression is in the page.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let ask = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &ask);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of an element as the reader sees it; empty if there is none.
    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({selector:?})?.innerText ?? ''"));
        text.as_str().expect("a text").to_owned()
    }

    /// Waits until an element's text is as it should be, and returns it.
    #[track_caller]
    pub fn wait_for(&mut self, selector: &str, expected: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text(selector);
            if expected(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{selector} is {text:?}; problems: {:?}", self.problems);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A screen of this size, in points; `scale` pixels are a point.
    #[track_caller]
    pub fn screen(&mut self, width: u32, height: u32, scale: f32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// What the reader prefers, by the name of a media feature.
    #[track_caller]
    pub fn prefer(&mut self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// The screen as PNG.
    #[track_caller]
    pub fn picture(&mut self) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", &json!({"format": "png", "optimizeForSpeed": false}));
        STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What the browser found wrong so far.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The addresses that the page has asked for.
    pub fn requests(&self) -> &BTreeSet<String> {
        &self.requests
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.as_mut().expect("open until the drop").write_all(&bytes).unwrap_or_else(|e| panic!("{method}: {e}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left).unwrap_or_else(|e| panic!("no answer to {method}: {e}"));
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    /// Takes in what the browser tells without being asked.
    fn note(&mut self, event: &Value) {
        let details = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.problem(&details["exceptionDetails"]),
            Some("Log.entryAdded") if details["entry"]["level"] == "error" => self.problem(&details["entry"]),
            Some("Network.requestWillBeSent") => {
                self.requests.extend(details["request"]["url"].as_str().map(str::to_owned));
            }
            _ => {}
        }
    }

    fn problem(&mut self, what: &dyn fmt::Display) {
        self.problems.push(what.to_string());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when nobody can tell it anything any more.
        drop(self.to.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
