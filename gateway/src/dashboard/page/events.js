// What has happened, the latest first.

import { element } from "./elements.js";
import { clock } from "./units.js";

/** Lines that are kept on the page. */
const MOST = 200;

/** Events that are kept for the timelines; the gateway keeps as many. */
const KEPT = 1_000;

const list = document.getElementById("events");
let kept = [];
let latest = 0;

/** What to ask for: what comes after the latest event that is shown. */
export const query = () => (latest ? `?since=${latest}` : "");

/** The events of a service, oldest first. */
export const of = (name) => kept.filter(({ service }) => service === name);

/** The gateway is another one: it counts its events from the beginning. */
export function forget() {
  latest = 0;
}

/** Puts new events above the others. */
export function show(events) {
  for (const event of events) {
    const at = new Date(event.at);
    const time = element("time", { datetime: event.at, title: at.toLocaleString() }, clock(at));
    const attributes = { "data-kind": event.kind, "data-level": event.level };
    list.prepend(element("li", attributes, time, element("span", {}, event.text)));
    latest = Math.max(latest, event.number);
  }
  kept = [...kept, ...events].slice(-KEPT);
  while (list.childElementCount > MOST) list.lastElementChild.remove();
}
