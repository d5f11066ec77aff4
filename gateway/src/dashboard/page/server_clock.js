// The time as the gateway has it, from the `Date` of its answers: the reader's clock may be wrong.

const KEPT = 30;

export class ServerClock {
  /** How far the gateway's clock is ahead, by the latest answers. */
  #leads = [];

  take(date) {
    if (!date) return;
    this.#leads.push(new Date(date) - Date.now());
    if (this.#leads.length > KEPT) this.#leads.shift();
  }

  /** `Date` is cut to whole seconds, so the truth is at or above every lead. */
  now() {
    return new Date(Date.now() + (this.#leads.length ? Math.max(...this.#leads) : 0));
  }
}
