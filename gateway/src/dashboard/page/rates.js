// Rates from totals: what each backend, each service and the whole gateway did lately.

/** How far back plots go. */
export const WINDOW_MS = 120_000;

/** Rates are taken over this time: calm to look at, and one connection a second is still seen. */
const SPREAD_MS = 3_000;

/** What is counted of a backend: `answers` to SYNs, which took `waited` microseconds together. */
export const NONE = { connections: 0, answers: 0, waited: 0, toBackends: 0, toClients: 0 };

function totalsOf(backend) {
  const counters = backend.counters;
  if (!counters) return null;
  return {
    connections: counters.connections,
    answers: counters.handshakes.buckets.reduce((all, bucket) => all + bucket, 0),
    waited: counters.handshakes.sum_us,
    toBackends: counters.original.bytes,
    toClients: counters.reply.bytes,
  };
}

function add(left, right) {
  return Object.fromEntries(Object.keys(NONE).map((key) => [key, left[key] + right[key]]));
}

/** Totals by name, and the rates between them. */
class Meter {
  /** By name: `{at, total}`, oldest first. */
  #samples = new Map();

  /** The rates by name over the last `SPREAD_MS`; what is new, or began again, has none yet. */
  take(at, totals) {
    const samples = new Map();
    const rates = new Map();
    for (const [name, total] of totals) {
      const own = this.#samples.get(name) ?? [];
      own.push({ at, total });
      while (own.length > 2 && own[1].at <= at - SPREAD_MS) own.shift();
      const rate = between(own[0], own.at(-1));
      if (rate) rates.set(name, rate);
      samples.set(name, rate ? own : own.slice(-1));
    }
    this.#samples = samples;
    return rates;
  }
}

function between(then, now) {
  const seconds = (now.at - then.at) / 1000;
  const entries = Object.keys(now.total).map((key) => [key, (now.total[key] - then.total[key]) / seconds]);
  return seconds > 0 && entries.every(([, value]) => value >= 0) ? Object.fromEntries(entries) : null;
}

/** What happened in the last two minutes. */
export class History {
  #backends = new Meter();
  #outcomes = new Meter();
  #samples = 0;
  /** `{at, sum, open}`, oldest first. */
  frames = [];
  /** Packets a second by reason. */
  reasons = new Map();
  /** By service: `{at, rates}`, oldest first; `rates` by the backend's address. */
  services = new Map();

  /**
   * Takes in what the gateway said at one moment, in milliseconds of a clock that never goes back. Only of services with
   * these names it keeps what plots need.
   */
  take(at, status, services, names) {
    const totals = new Map();
    for (const service of services) {
      for (const backend of service.backends) {
        const total = totalsOf(backend);
        if (total) totals.set(`${service.name} ${backend.address}`, total);
      }
    }
    const rates = this.#backends.take(at, totals);
    // The first sample had nothing to compare with.
    if (++this.#samples === 2) this.#begin();
    let sum = NONE;
    let open = 0;
    for (const service of services) {
      const own = new Map(service.backends.map(({ address }) => [address, rates.get(`${service.name} ${address}`) ?? NONE]));
      sum = [...own.values()].reduce(add, sum);
      open = service.backends.reduce((all, { counters }) => all + (counters?.open_flows ?? 0), open);
      if (names.has(service.name)) this.#append(service.name, { at, rates: own });
    }
    for (const name of this.services.keys()) if (!names.has(name)) this.services.delete(name);

    const packets = new Map(status.reasons.map(({ reason, packets }) => [reason, { packets }]));
    this.reasons = this.#outcomes.take(at, packets);
    const packetsOf = (wanted) =>
      status.reasons
        .filter(({ action }) => action === wanted)
        .reduce((all, { reason }) => all + (this.reasons.get(reason)?.packets ?? 0), 0);
    const lately = { dropped: packetsOf("drop"), forwarded: packetsOf("forward") };
    this.frames.push({ at, sum: { ...sum, ...lately, open } });
    forget(this.frames, at);
  }

  #begin() {
    this.frames = [];
    this.services.clear();
  }

  #append(name, frame) {
    if (!this.services.has(name)) this.services.set(name, []);
    this.services.get(name).push(frame);
    forget(this.services.get(name), frame.at);
  }
}

/** Keeps one frame beyond the window, where plots come in from the left. */
function forget(frames, at) {
  while (frames.length > 2 && frames[1].at < at - WINDOW_MS) frames.shift();
}
