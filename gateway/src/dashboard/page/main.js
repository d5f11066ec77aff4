// Asks the gateway what it does, once a second while somebody looks, and shows it.

import { mark, write } from "./elements.js";
import * as events from "./events.js";
import * as overview from "./overview.js";
import { History } from "./rates.js";
import { ServerClock } from "./server_clock.js";
import * as services from "./services.js";

const PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;
const PATIENCE_MS = 10_000;

const connection = document.getElementById("connection");
const filter = document.getElementById("filter");
const serverClock = new ServerClock();
const history = new History();
let last = null;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const value = await answer.json();
  serverClock.take(answer.headers.get("date"));
  return value;
}

async function read() {
  const [status, list] = await Promise.all([ask("api/status"), ask("api/services")]);
  const restarted = last && status.uptime_seconds < last.status.uptime_seconds;
  if (restarted) events.forget();
  last = { status, services: list };
  const shown = services.choose(list, filter.value.trim(), serverClock.now()).shown;
  history.take(performance.now(), status, list, new Set(shown.map(({ name }) => name)));
  const news = await ask(`api/events${events.query()}`);
  events.show(news);
}

function show() {
  if (!last) return;
  const now = serverClock.now();
  const ticks = performance.now();
  overview.show(last.status, history);
  services.show(services.choose(last.services, filter.value.trim(), now), {
    history,
    measure: document.querySelector("input[name=measure]:checked").value,
    now,
    clock: (date) => ticks - (now - date),
  });
}

function say(state, text) {
  mark(connection, "data-state", state);
  mark(document.body, "data-connection", state);
  write(connection, text);
}

const visible = () =>
  document.hidden ? new Promise((go) => document.addEventListener("visibilitychange", go, { once: true })) : null;

const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

async function run() {
  for (let failures = 0; ; ) {
    await visible();
    const began = performance.now();
    try {
      await read();
      failures = 0;
      show();
      say("live", "live");
    } catch (error) {
      failures += 1;
      console.debug(error);
      say("lost", "no connection, trying again");
    }
    // A gateway with very much to tell is not asked without a rest.
    const taken = performance.now() - began;
    await pause(Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS - taken, PAUSE_MS * failures, 2 * taken)));
  }
}

filter.addEventListener("input", show);
document.getElementById("measure").addEventListener("change", show);
run();
