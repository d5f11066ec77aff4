// How a deployment goes: what has happened when, and what it waits for.

import { span } from "./units.js";

const time = (text) => (text ? new Date(text) : null);
const isUnderWay = ({ name }) => name === "starting" || name === "confirming";

/** What is known of one deployment. The gateway forgets backends that have drained; events and this remember them. */
export class Rollout {
  constructor({ number, started }) {
    this.number = number;
    this.started = time(started);
    /** When connections began to go to the new backends. */
    this.switched = null;
    /** By address: when a new backend answered. */
    this.answered = new Map();
    /** By address: how an old backend goes, as `{since, deadline, signalled, unheard, cut, over}`. */
    this.old = new Map();
    /** When nothing was left to be done. */
    this.ended = null;
  }

  /** Takes in the state of the service, and the events of it since the deployment began. */
  take({ deployment, backends }, events, now) {
    for (const address of deployment.old) if (!this.old.has(address)) this.old.set(address, {});
    for (const event of events) if (time(event.at) >= this.started) this.#hear(event, deployment);
    const present = new Map(backends.map((backend) => [backend.address, backend]));
    for (const address of deployment.new) {
      const health = present.get(address)?.health;
      if (health?.status === "up") this.#answers(address, new Date(Math.max(this.started, time(health.since))));
    }
    for (const [address, course] of this.old) see(course, present.get(address), now);
    const sinces = [...this.old.values()].map(({ since }) => since).filter(Boolean);
    if (sinces.length) this.switched ??= new Date(Math.min(...sinces));

    const { phase } = deployment;
    const draining = phase.name === "done" && [...this.old.values()].some(({ over }) => !over);
    const overs = phase.name === "done" ? [...this.old.values()].map(({ over }) => over) : [];
    this.ended = isUnderWay(phase) || draining ? null : new Date(Math.max(time(phase.at), ...overs));
  }

  #answers(address, at) {
    if (!this.answered.has(address)) this.answered.set(address, at);
  }

  #hear({ kind, backend, at, deadline, error, deployment: number }, deployment) {
    if (kind === "deployment-switched" && number === this.number) this.switched = time(at);
    if (kind === "backend-up" && deployment.new.includes(backend)) this.#answers(backend, time(at));
    const course = this.old.get(backend);
    if (!course) return;
    if (kind === "backend-draining") Object.assign(course, { since: time(at), deadline: time(deadline) });
    if (kind === "backend-signalled") Object.assign(course, { signalled: time(at), unheard: error });
    if (kind === "backend-cut") course.cut = true;
    if (kind === "backend-drained" || kind === "backend-removed") course.over ??= time(at);
  }
}

/** What the state says of an old backend, where no event has said it before. */
function see(course, backend, now) {
  const drain = backend?.drain;
  if (drain) {
    course.since ??= time(drain.since);
    course.deadline ??= time(drain.deadline);
    if (drain.signal === "sent" || drain.signal.failed) course.signalled ??= time(drain.signal_at);
    course.unheard ??= drain.signal.failed;
  }
  if (drain?.ended || !backend) course.over ??= now;
}

/** The steps so far and those that are waited for, as `{key, state, text, at}`; `state` is done, waiting or failed. */
export function steps({ deployment, backends }, rollout, now) {
  const { phase, number } = deployment;
  const list = [{ key: "began", state: "done", text: `deployment ${number} begins`, at: rollout.started }];
  list.push(...deployment.new.map((address) => answer(address, phase, backends, rollout)).filter(Boolean));
  if (rollout.switched) {
    list.push({ key: "switch", state: "done", text: "new connections go to the new backends", at: rollout.switched });
  }
  if (phase.name === "confirming") {
    const left = span((time(phase.until) - now) / 1000);
    list.push({ key: "window", state: "waiting", text: `errors bring the old ones back, ${left} more` });
  }
  if (phase.name !== "rolled-back") {
    for (const [address, course] of rollout.old) list.push(...departure(address, course, now));
  }
  list.sort((a, b) => (a.at ?? Infinity) - (b.at ?? Infinity));
  const end = outcome(phase, rollout);
  return end ? [...list, { key: "end", ...end }] : list;
}

function answer(address, phase, backends, rollout) {
  const key = `answer ${address}`;
  const at = rollout.answered.get(address);
  if (at) return { key, state: "done", text: `${address} answers`, at };
  const error = phase.errors?.[address] ?? backends.find((backend) => backend.address === address)?.health?.error;
  if (phase.name === "failed") return { key, state: "failed", text: `${address}: ${error ?? "no answer"}` };
  if (phase.name === "rolled-back") return null;
  return { key, state: "waiting", text: `${address} is to answer${error ? `: ${error}` : ""}` };
}

function departure(address, { since, deadline, signalled, unheard, cut, over }, now) {
  const list = [];
  const signal = { key: `signal ${address}`, at: signalled };
  if (unheard) list.push({ ...signal, state: "failed", text: `${address} could not be told to end: ${unheard}` });
  else if (signalled) list.push({ ...signal, state: "done", text: `${address} is told to end` });
  const key = `drain ${address}`;
  const left = deadline ? `, cut in ${span((deadline - now) / 1000)}` : "";
  if (over) list.push({ key, state: "done", text: `${address} ${cut ? "was cut" : "has drained"}`, at: over });
  else if (since) list.push({ key, state: "waiting", text: `${address} drains${left}` });
  return list;
}

function outcome(phase, { ended }) {
  const at = time(phase.at);
  if (phase.name === "rolled-back") return { state: "failed", text: `the old backends serve again: ${phase.reason}`, at };
  if (phase.name === "failed") return { state: "failed", text: `nothing was switched: ${phase.reason}`, at };
  return phase.name === "done" && ended ? { state: "done", text: "done", at: ended } : null;
}

/** The state of a deployment in a few words. */
export function heading({ number, phase }, { ended }) {
  const words = {
    starting: "waiting for the new backends",
    confirming: "switched, watching for errors",
    "rolled-back": "rolled back",
    failed: "failed, nothing was switched",
    done: ended ? "done" : "the old backends drain",
  };
  return `Deployment ${number}: ${words[phase.name] ?? phase.name}`;
}
