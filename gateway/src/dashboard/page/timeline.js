// A deployment as a picture: a bar for each backend that comes or goes, and the steps in words.

import { courses } from "./courses.js";
import { element, keep, mark, write } from "./elements.js";
import * as events from "./events.js";
import { Rollout, heading, steps } from "./rollout.js";
import { clock, span } from "./units.js";

/** How long a deployment that is over stays on the page. */
const AFTERGLOW_MS = 120_000;

/** The shortest time that the bars span, so that the first seconds do not race. */
const SHORTEST_MS = 8_000;

/** Free room at the right of the bars: time to come. */
const AHEAD = 1.08;

function piece({ kind }) {
  const node = element("i", { class: kind });
  const update = ({ left, width }) => {
    node.style.left = `${left}%`;
    node.style.width = `${width}%`;
  };
  return { node, update };
}

function bar({ address, tone }) {
  const track = element("span", { class: "track" });
  const node = element("li", { class: `tone-${tone}` }, element("code", {}, address), track);
  const update = ({ parts, started, length }) => {
    const percent = (milliseconds) => (100 * milliseconds) / length;
    const pieces = parts.map(({ kind, from, to }, index) => {
      return { kind, key: `${index} ${kind}`, left: percent(from - started), width: percent(to - from) };
    });
    keep(track, pieces, ({ key }) => key, piece);
  };
  return { node, update };
}

function step() {
  const [time, words] = [element("time"), element("span")];
  const update = ({ state, text, at, started }) => {
    mark(line, "data-state", state);
    write(words, text);
    write(time, at ? `+${span((at - started) / 1000)}` : "");
    mark(time, "title", at ? clock(at) : null);
  };
  const line = element("li", {}, time, words);
  return { node: line, update };
}

/** The timeline of a service's latest deployment; `update` gives the moments that a plot is to mark. */
export function timeline(name) {
  const [title, list] = [element("h4"), element("ol", { class: "steps" })];
  const chart = element("ul", { class: "bars", "aria-hidden": "true" });
  const course = element("div", { class: "course" }, chart, list);
  const node = element("section", { class: "deployment", "aria-label": `Deployment of ${name}` }, title, course);
  let rollout = null;

  const update = (service, now, toneOf) => {
    const { deployment } = service;
    if (deployment && rollout?.number !== deployment.number) rollout = new Rollout(deployment);
    if (deployment) rollout.take(service, events.of(service.name), now);
    node.hidden = !deployment || (rollout.ended && now - rollout.ended > AFTERGLOW_MS);
    if (node.hidden) return [];

    const { started } = rollout;
    const length = Math.max(SHORTEST_MS, ((rollout.ended ?? now) - started) * AHEAD);
    write(title, heading(deployment, rollout));
    mark(node, "data-phase", rollout.ended || deployment.phase.name !== "done" ? deployment.phase.name : "draining");
    const bars = courses(service, rollout, now);
    keep(chart, bars.map((it) => ({ ...it, tone: toneOf(it.address), started, length })), ({ address }) => address, bar);
    keep(list, steps(service, rollout, now).map((it) => ({ ...it, started })), ({ key }) => key, step);
    return [started, rollout.switched].filter(Boolean);
  };
  return { node, update };
}
