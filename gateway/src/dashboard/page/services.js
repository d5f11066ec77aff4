// Services with their addresses, backends and plots.

import { timeline } from "./timeline.js";
import { element, keep, mark, write } from "./elements.js";
import { canvas, draw } from "./plot.js";
import { NONE } from "./rates.js";
import { bits, count, latency, rate, span } from "./units.js";

/** Colours of backends; more of them share. */
const TONES = 8;

/** Services that are shown at a time: a page of more helps nobody, and the filter finds the others. */
const MOST = 60;

/** How long a deployment that is over keeps its service above the others. */
const RECENT_MS = 120_000;

/** What plots can show of a backend's rates. */
const MEASURES = {
  connections: { of: ({ connections }) => connections, text: (top) => `${rate(top)}/s` },
  traffic: { of: ({ toBackends, toClients }) => toBackends + toClients, text: bits },
};

/** What a backend is for the reader: one word, and what is to be known beside it. */
function condition(backend, now) {
  const { state, health, drain } = backend;
  if (state === "draining") {
    if (drain?.ended) return ["drained", ""];
    const left = drain ? (new Date(drain.deadline) - now) / 1000 : 0;
    return ["draining", left > 0 ? `cut in ${span(left)}` : ""];
  }
  if (state === "starting") return ["starting", health?.error ?? ""];
  if (health?.status === "down") return ["down", health.error ?? ""];
  return [health?.status === "up" ? "up" : "active", health ? span((now - new Date(health.since)) / 1000) : ""];
}

function summary(backends) {
  const serving = backends.filter(({ state, health }) => state === "active" && health?.status !== "down").length;
  const wanted = backends.filter(({ state }) => state !== "draining").length;
  const level = serving === 0 ? "bad" : backends.some(({ state, health }) => state === "active" && health?.status === "down") ? "poor" : "good";
  return [level, wanted === 0 ? "no backends" : `${serving} of ${wanted} backends serve`];
}

/** One row of a service's table. */
function row({ backend, tone }) {
  const swatch = element("i", { class: `swatch tone-${tone}` });
  const name = element("th", { scope: "row" }, element("span", { class: "name" }, swatch, element("code", {}, backend.address)));
  const badge = element("b", { class: "badge" });
  const remark = element("small");
  const numbers = ["connections", "open", "wide", "wide", "wide"].map((kind) => element("td", { class: `number ${kind}` }));
  const update = ({ backend, rates, now }) => {
    const [word, more] = condition(backend, now);
    write(badge, word);
    mark(badge, "data-state", word);
    write(remark, more);
    const open = count(backend.counters?.open_flows ?? 0);
    const answers = rates.answers > 0 ? latency(rates.waited / rates.answers) : "\u2013";
    const texts = [rate(rates.connections), open, answers, bits(rates.toBackends), bits(rates.toClients)];
    texts.forEach((text, index) => write(numbers[index], text));
  };
  return { node: element("tr", {}, name, element("td", { class: "condition" }, badge, " ", remark), ...numbers), update };
}

const HEADINGS = [
  ["Backend", ""],
  ["State", ""],
  ["New/s", "number"],
  ["Open", "number"],
  ["Answers in", "number wide"],
  ["Receives", "number wide"],
  ["Sends", "number wide"],
];

/** The card of one service. */
function card({ service: { name } }) {
  const [title, url, state] = [element("h3", {}, name), element("code", { class: "url" }), element("span", { class: "badge" })];
  const plot = canvas(`${name}: by backend, in the last two minutes`);
  const [top, axis] = [element("span"), element("figcaption", {}, element("span", {}, "2 min ago"), element("span", {}, "now"))];
  const body = element("tbody");
  const head = element("tr", {}, ...HEADINGS.map(([text, kind]) => element("th", { scope: "col", class: kind }, text)));
  const table = element("table", {}, element("caption", {}, `Backends of ${name}`), element("thead", {}, head), body);
  const figure = element("figure", {}, element("p", { class: "top-value" }, top), plot, axis);
  const rollout = timeline(name);
  const node = element(
    "article",
    { class: "card service", "data-service": name },
    element("header", {}, title, url, state),
    rollout.node,
    element("div", { class: "halves" }, figure, table),
  );
  const tones = new Map();
  const toneOf = (address) => {
    if (!tones.has(address)) tones.set(address, tones.size % TONES);
    return tones.get(address);
  };

  const update = ({ service, frames, measure, now, clock }) => {
    write(url, service.url);
    const [level, text] = summary(service.backends);
    write(state, text);
    mark(state, "data-state", level);
    const rates = frames.at(-1)?.rates ?? new Map();
    const rows = service.backends.map((backend) => ({ backend, now, tone: toneOf(backend.address), rates: rates.get(backend.address) ?? NONE }));
    keep(body, rows, ({ backend }) => backend.address, row);

    // Backends that are gone stay in the plot for as long as they are in its time.
    const addresses = [...new Set([...frames.flatMap(({ rates }) => [...rates.keys()]), ...service.backends.map((it) => it.address)])];
    const { of, text: label } = MEASURES[measure];
    const layers = addresses.map((address) => ({
      className: `tone-${toneOf(address)}`,
      values: frames.map(({ rates }) => (rates.has(address) ? of(rates.get(address)) : 0)),
    }));
    const moments = rollout.update(service, now, toneOf).map((date) => clock(date));
    write(top, label(draw(plot, frames.map(({ at }) => at), layers, moments)));
  };
  return { node, update };
}

/** What asks for a look comes first: deployments, then backends that are down, then by name. */
function urgency({ deployment, backends }, now) {
  if (deployment && (deployment.phase.at === undefined || now - new Date(deployment.phase.at) < RECENT_MS)) return 0;
  return backends.some(({ health, state }) => state === "active" && health?.status === "down") ? 1 : 2;
}

/** The services to show: those whose name contains `filter`, and not too many. */
export function choose(services, filter, now) {
  const wanted = services.filter(({ name }) => name.includes(filter));
  wanted.sort((a, b) => urgency(a, now) - urgency(b, now) || (a.name < b.name ? -1 : 1));
  return { shown: wanted.slice(0, MOST), hidden: Math.max(0, wanted.length - MOST), all: services.length };
}

/** Shows the services that were chosen. */
export function show({ shown, hidden, all }, { history, ...view }) {
  const items = shown.map((service) => ({ service, frames: history.services.get(service.name) ?? [], ...view }));
  keep(document.getElementById("services"), items, ({ service }) => service.name, card);
  const more = document.getElementById("more");
  if (all === 0) write(more, "There are no services yet: gateway service add");
  else if (shown.length === 0) write(more, "No service has this in its name.");
  else write(more, hidden ? `and ${count(hidden)} more: filter by name` : "");
}
