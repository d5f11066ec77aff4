// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A count: `1,234`, `56.7K`. */
export const count = (number) => (number < 100_000 ? whole : compact).format(number);

/** Something per second: `0.4`, `12`, `3.4K`. */
export function rate(perSecond) {
  if (perSecond < 0.05) return "0";
  if (perSecond < 10) return tenths.format(perSecond);
  return count(Math.round(perSecond));
}

/** Bytes per second as bits: `640 bit/s`, `3.2 Mbit/s`. */
export function bits(bytesPerSecond) {
  let value = bytesPerSecond * 8;
  for (const unit of ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]) {
    if (value < 999.5) return `${value < 9.95 && value > 0 ? tenths.format(value) : whole.format(value)} ${unit}`;
    value /= 1000;
  }
  return `${tenths.format(value)} Tbit/s`;
}

/** A short time, of microseconds: `180 µs`, `1.2 ms`. */
export function latency(microseconds) {
  if (microseconds < 999.5) return `${whole.format(microseconds)} µs`;
  if (microseconds < 999_500) return `${tenths.format(microseconds / 1_000)} ms`;
  return `${tenths.format(microseconds / 1_000_000)} s`;
}

/** A span of time, by its two largest units: `3m 12s`, `2d 4h`; below ten seconds with tenths. */
export function span(seconds) {
  if (seconds < 9.95) return `${tenths.format(Math.max(0, seconds))}s`;
  const parts = [];
  let rest = Math.round(seconds);
  for (const [unit, length] of [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]]) {
    if (rest >= length) parts.push(`${Math.floor(rest / length)}${unit}`);
    rest %= length;
  }
  return parts.slice(0, 2).join(" ");
}

/** The time of day of a point in time, as the reader's clock has it. */
export function clock(date) {
  return date.toLocaleTimeString("en-GB");
}
