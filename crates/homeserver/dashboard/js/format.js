/**
 * Numbers, durations and times, written for people. All of it is pure but {@link ago}, which asks
 * the clock that {@link module:clock} keeps in step with the server's.
 */

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const ONE_DIGIT = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `12,345`. */
export function number(value) {
  return WHOLE.format(value);
}

/** `12.3K`, where there is little room. */
export function shortNumber(value) {
  return value < 10_000 ? WHOLE.format(value) : SHORT.format(value);
}

/** `1 event`, `3 events`. */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** `4.2 %`. */
export function percent(value) {
  return `${ONE_DIGIT.format(value)} %`;
}

/** `900 B`, `12.3 kB`, `1.2 MB`. */
export function bytes(value) {
  if (value < 1000) return `${WHOLE.format(value)} B`;
  if (value < 1_000_000) return `${ONE_DIGIT.format(value / 1000)} kB`;
  if (value < 1_000_000_000) return `${ONE_DIGIT.format(value / 1_000_000)} MB`;
  return `${ONE_DIGIT.format(value / 1_000_000_000)} GB`;
}

/** `0 s`, `850 ms`, `12 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`: two units at most. */
export function duration(ms) {
  const value = Math.max(0, Math.round(ms));
  if (value === 0) return '0 s';
  if (value < SECOND) return `${value} ms`;
  if (value < 10 * SECOND) return `${ONE_DIGIT.format(value / SECOND)} s`;
  if (value < MINUTE) return `${Math.floor(value / SECOND)} s`;
  if (value < HOUR) return units(value, MINUTE, 'min', SECOND, 's');
  if (value < DAY) return units(value, HOUR, 'h', MINUTE, 'min');
  return units(value, DAY, 'd', HOUR, 'h');
}

function units(value, large, largeName, small, smallName) {
  const whole = Math.floor(value / large);
  const rest = Math.floor((value % large) / small);
  const head = `${WHOLE.format(whole)} ${largeName}`;
  return rest === 0 ? head : `${head} ${rest} ${smallName}`;
}

/** A duration with one unit, for an axis. */
export function shortDuration(ms) {
  if (ms === 0) return '0';
  if (ms < SECOND) return `${ONE_DIGIT.format(ms)} ms`;
  if (ms < MINUTE) return `${ONE_DIGIT.format(ms / SECOND)} s`;
  if (ms < HOUR) return `${ONE_DIGIT.format(ms / MINUTE)} min`;
  if (ms < DAY) return `${ONE_DIGIT.format(ms / HOUR)} h`;
  return `${ONE_DIGIT.format(ms / DAY)} d`;
}

/** `3 min ago`, `in 12 s`, `just now`. */
export function relative(atMs, nowMs) {
  const away = atMs - nowMs;
  if (Math.abs(away) < SECOND) return away < 0 ? 'just now' : 'now';
  const coarse = Math.abs(away) < MINUTE ? Math.floor(Math.abs(away) / SECOND) * SECOND : Math.abs(away);
  return away < 0 ? `${duration(coarse)} ago` : `in ${duration(coarse)}`;
}

const two = (value) => String(value).padStart(2, '0');

/** `14:03:22`, in the browser's time zone. */
export function timeOfDay(atMs, withSeconds = true) {
  const at = new Date(atMs);
  const head = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return withSeconds ? `${head}:${two(at.getSeconds())}` : head;
}

/** `2026-03-14 14:03:22`, in the browser's time zone. */
export function dateTime(atMs) {
  const at = new Date(atMs);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${timeOfDay(atMs)}`;
}

/** A text that begins with a capital. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A text's beginning. */
export function head(text, length) {
  const flat = text.replace(/\s+/g, ' ').trim();
  return flat.length <= length ? flat : `${flat.slice(0, length - 1)}…`;
}
