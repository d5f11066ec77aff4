// The gateway as a whole: figures with their plots, interfaces, warnings, packets by outcome.

import { element, keep, mark, write } from "./elements.js";
import { canvas, draw } from "./plot.js";
import { bits, count, rate, span } from "./units.js";

const find = (id) => document.getElementById(id);

/** A figure: its title, the number now, a line below it, and the values of its plot. */
const FIGURES = [
  {
    title: "New connections",
    unit: "per second",
    values: ["connections"],
    now: ({ connections }) => rate(connections),
    below: (_, { half_open: { open } }) => `${count(open)} in their handshake`,
  },
  {
    title: "Open connections",
    unit: "",
    values: ["open"],
    now: ({ open }) => count(open),
    below: (_, { flows: { open, capacity } }) => `${share(open, capacity)} of the flow table in use`,
  },
  {
    title: "Traffic",
    unit: "",
    values: ["toClients", "toBackends"],
    now: ({ toClients, toBackends }) => bits(toClients + toBackends),
    below: ({ toClients, toBackends }) => `${bits(toClients)} to clients, ${bits(toBackends)} to backends`,
  },
  {
    title: "Packets",
    unit: "per second",
    values: ["forwarded", "dropped"],
    now: ({ forwarded }) => rate(forwarded),
    below: ({ dropped }) => `${rate(dropped)} dropped per second`,
  },
];

function share(part, whole) {
  const percent = whole ? (100 * part) / whole : 0;
  return percent > 0 && percent < 1 ? "below 1 %" : `${Math.round(percent)} %`;
}

function figure({ title, unit }) {
  const number = element("strong");
  const line = element("p", { class: "below" });
  const plot = canvas(`${title} in the last two minutes`);
  const head = element("p", { class: "now" }, number, " ", element("span", {}, unit));
  const node = element("article", { class: "card figure" }, element("h2", {}, title), head, line, plot);
  const update = ({ values, now, below, status, frames }) => {
    const last = frames.at(-1).sum;
    write(number, now(last));
    write(line, below(last, status));
    const layers = values.map((key, index) => ({ className: `tone-${index}`, values: frames.map(({ sum }) => sum[key]) }));
    draw(plot, frames.map(({ at }) => at), layers);
  };
  return { node, update };
}

function interfaces(status) {
  keep(find("interfaces"), status.interfaces, ({ name }) => name, () => {
    const name = element("b");
    const mode = element("span");
    const update = (it) => {
      write(name, it.name);
      write(mode, it.mode);
    };
    return { node: element("li", {}, name, " ", mode), update };
  });
}

function warnings(status) {
  keep(find("warnings"), status.warnings, (text) => text, (text) => ({
    node: element("li", {}, text),
    update() {},
  }));
}

/** Outcomes that any packet had, the bad ones first. */
function outcomes(status, rates) {
  const order = { drop: 0, answer: 1, forward: 2, pass: 3 };
  const rows = status.reasons
    .filter(({ packets }) => packets > 0)
    .map((it) => ({ ...it, now: rates.get(it.reason)?.packets ?? 0 }));
  rows.sort((a, b) => order[a.action] - order[b.action] || b.packets - a.packets);
  keep(find("outcomes").tBodies[0], rows, ({ reason }) => reason, ({ reason, action }) => {
    const [lately, total] = [element("td", { class: "number" }), element("td", { class: "number" })];
    const name = element("th", { scope: "row" }, reason.replaceAll("_", " "), " ", element("small", {}, action));
    const update = ({ now, packets }) => {
      write(lately, rate(now));
      write(total, count(packets));
    };
    return { node: element("tr", { "data-action": action }, name, lately, total), update };
  });
}

/** Shows `status`, with what the history has made of it. */
export function show(status, history) {
  write(find("daemon"), `version ${status.version}, up ${span(status.uptime_seconds)}`);
  interfaces(status);
  warnings(status);
  const figures = FIGURES.map((it) => ({ ...it, status, frames: history.frames }));
  keep(find("overview"), figures, ({ title }) => title, figure);
  outcomes(status, history.reasons);
  mark(document.body, "data-ready", "");
}
