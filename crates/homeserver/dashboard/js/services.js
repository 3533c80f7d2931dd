/**
 * What a service's state means to a person: in which words, how bad it is, and which verbs make
 * sense in it. Decides nothing that the server does not check again.
 */

import { h, svg } from './dom.js';
import { count, duration, number } from './format.js';

/** A service that lags more is worth a look even if nothing is known to be wrong. */
const NOTABLE_LAG_MS = 60_000;
/** So is one of whose attempts more than this share fail. */
const NOTABLE_FAILURES_PERCENT = 5;

/** The states in words. */
const STATE_WORDS = {
  idle: 'Idle',
  delivering: 'Delivering',
  retrying: 'Retrying',
  failed: 'Failed',
};

/** What the states mean, in a sentence. */
export const STATE_MEANINGS = {
  idle: 'Nothing is waiting, or nothing may be sent now.',
  delivering: 'A transaction is on its way.',
  retrying: 'The last attempt failed; the next waits for its time or a sign of life.',
  failed: 'A person has given it up; only a person brings it back.',
};

const TRANSPORT_WORDS = {
  http: 'HTTP',
  websocket: 'websocket',
  pull: 'fetches by itself',
  none: 'nothing can be sent',
};

/** How transactions reach the service, in words. */
export function transportWords(service) {
  return TRANSPORT_WORDS[service.transport] ?? service.transport;
}

/** Where a registration comes from: of one in a file the file decides. */
export function isFromFile(service) {
  return service.source !== 'api';
}

/** For how long the oldest entry has been waiting. */
export function lagOf(service) {
  return service.oldest_waiting_ms ?? 0;
}

/** How bad it is: 0 is well. Sorting by it puts the worst first. */
export function badness(service) {
  if (service.stuck) return 7;
  if (service.state === 'failed') return 6;
  if (service.state === 'retrying') return 5;
  if (service.transport === 'none' && service.depth > 0) return 4;
  if (service.paused && service.depth > 0) return 3;
  if (lagOf(service) > NOTABLE_LAG_MS || failsOften(service)) return 2;
  return service.paused ? 1 : 0;
}

function failsOften(service) {
  const { attempts_last_5_minutes: attempts, failed_percent: failed } = service.rates;
  return attempts > 0 && failed > NOTABLE_FAILURES_PERCENT;
}

/** Whether a person should look at it. */
export function needsAttention(service) {
  return badness(service) >= 2;
}

/** The worst first; among equals the one that has been waiting longest, then by id. */
export function worstFirst(one, other) {
  return (
    badness(other) - badness(one) ||
    lagOf(other) - lagOf(one) ||
    (one.id < other.id ? -1 : Number(one.id > other.id))
  );
}

/** A shape for each word, so that colour is never the only difference. */
const SHAPES = {
  idle: () => svg('circle', { cx: 6, cy: 6, r: 4.5 }),
  delivering: () => svg('path', { d: 'M2.5 1.5 11 6 2.5 10.5Z' }),
  retrying: () => svg('path', { d: 'M6 1 11.5 11H.5Z' }),
  failed: () => svg('path', { d: 'M1.5 3 3 1.5 6 4.5 9 1.5 10.5 3 7.5 6 10.5 9 9 10.5 6 7.5 3 10.5 1.5 9 4.5 6Z' }),
  paused: () => svg('path', { d: 'M2.5 1.5H5V10.5H2.5ZM7 1.5H9.5V10.5H7Z' }),
  stuck: () => svg('path', { d: 'M1 0H11L12 1V11L11 12H1L0 11V1ZM5 2V7H7V2ZM5 8.5V10.5H7V8.5Z', 'fill-rule': 'evenodd' }),
  moving: () => svg('path', { d: 'M1 2 6 6 1 10ZM6 2 11 6 6 10Z' }),
  none: () => svg('path', { d: 'M6 .5 11.5 6 6 11.5.5 6Z' }),
  error: () => SHAPES.failed(),
  warning: () => SHAPES.retrying(),
  note: () => SHAPES.idle(),
  ok: () => svg('path', { d: 'M1 6.5 2.5 5 5 7.5 9.5 2 11 3.5 5 10.5Z' }),
  skipped: () => svg('path', { d: 'M1.5 5H10.5V7H1.5Z' }),
};

/** A word with its shape and colour. */
export function pill(kind, word, title) {
  const shape = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true', focusable: 'false' }, SHAPES[kind]());
  return h('span', { class: 'pill', 'data-kind': kind, title }, shape, word);
}

/** What {@link statePills} shows, of all that a service has. */
export function stateOf({ state, paused, stuck, drain, replay, transport }) {
  return { state, paused, stuck, drain, replay, transport };
}

/** All that there is to say about a service's state, worst last word first. */
export function statePills(service) {
  const pills = [];
  if (service.stuck) {
    pills.push(pill('stuck', 'Stuck', 'One event keeps everything behind it waiting'));
  }
  pills.push(pill(service.state, STATE_WORDS[service.state] ?? service.state, STATE_MEANINGS[service.state]));
  if (service.paused) pills.push(pill('paused', 'Paused', pauseWords(service.paused)));
  if (service.drain) pills.push(pill('moving', 'Draining', progressWords(service.drain)));
  if (service.replay) pills.push(pill('moving', 'Replaying', progressWords(service.replay)));
  if (service.transport === 'none') {
    pills.push(pill('none', 'No way there', 'It has no url, no websocket is open, and it does not fetch'));
  }
  return pills;
}

/** Who has paused a service, and why. */
export function pauseWords(pause) {
  const by = pause.by === 'service' ? 'The service has gone off line by itself' : 'Paused by an operator';
  return pause.reason ? `${by}: ${pause.reason}` : by;
}

/** How far something long has come. */
export function progressWords(progress) {
  const all = progress.upto - progress.from;
  const done = Math.min(all, Math.max(0, progress.at - progress.from));
  return all > 0 ? `${Math.floor((100 * done) / all)} % of ${count(all, 'position')}` : 'about to begin';
}

/** What went through of late. */
export function rateWords(service) {
  return `${number(service.rates.delivered_last_minute)}/min`;
}

/** What waits, in words. */
export function waitingWords(service) {
  if (service.depth === 0) return 'nothing waits';
  const waiting = count(service.depth, 'entry waits', 'entries wait');
  return service.oldest_waiting_ms === undefined
    ? waiting
    : `${waiting}, the oldest for ${duration(service.oldest_waiting_ms)}`;
}
