//! The page's files. They are part of the program: nothing is read from disk, nothing fetched from elsewhere.

use axum::{
    Router,
    http::{HeaderValue, header},
    routing::get,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type, text.
const FILES: [(&str, &str, &str); 14] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/main.js", JAVASCRIPT, include_str!("page/main.js")),
    ("/server_clock.js", JAVASCRIPT, include_str!("page/server_clock.js")),
    ("/elements.js", JAVASCRIPT, include_str!("page/elements.js")),
    ("/units.js", JAVASCRIPT, include_str!("page/units.js")),
    ("/rates.js", JAVASCRIPT, include_str!("page/rates.js")),
    ("/plot.js", JAVASCRIPT, include_str!("page/plot.js")),
    ("/overview.js", JAVASCRIPT, include_str!("page/overview.js")),
    ("/services.js", JAVASCRIPT, include_str!("page/services.js")),
    ("/timeline.js", JAVASCRIPT, include_str!("page/timeline.js")),
    ("/rollout.js", JAVASCRIPT, include_str!("page/rollout.js")),
    ("/courses.js", JAVASCRIPT, include_str!("page/courses.js")),
    ("/events.js", JAVASCRIPT, include_str!("page/events.js")),
];

/// The page under `/`, and what it loads beside it.
pub fn files() -> Router {
    let mut router = Router::new();
    for (path, kind, text) in FILES {
        let answer = ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text);
        router = router.route(path, get(async move || answer));
    }
    router
}
