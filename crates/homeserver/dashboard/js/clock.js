/**
 * The server's time as this browser knows it, and the elements that tell how long ago something
 * was. A laptop's clock may be wrong by minutes; "next try in 3 s" must not be.
 */

import { h, setText } from './dom.js';
import { dateTime, relative } from './format.js';

/** Smaller differences are the network's and the header's, which has whole seconds. */
const NOTABLE_MS = 2000;

let aheadMs = 0;

/** Learns from an answer's `Date` header. */
export function learn(dateHeader) {
  const serverMs = Date.parse(dateHeader ?? '');
  if (Number.isNaN(serverMs)) return;
  const difference = serverMs - Date.now();
  aheadMs = Math.abs(difference) < NOTABLE_MS ? 0 : difference;
}

/** Milliseconds since the epoch, on the server. */
export function now() {
  return Date.now() + aheadMs;
}

/** How long ago, or in how long: kept up to date by {@link tick}, the exact time as its title. */
export function ago(atMs) {
  return h(
    'time',
    { datetime: new Date(atMs).toISOString(), title: dateTime(atMs), 'data-at-ms': atMs },
    relative(atMs, now()),
  );
}

/** In how long something is due; kept up to date like {@link ago}. */
export function due(atMs) {
  const element = ago(atMs);
  element.dataset.due = 'yes';
  refresh(element);
  return element;
}

/** Brings all elements of {@link ago} and {@link due} up to date. */
export function tick() {
  for (const element of document.querySelectorAll('time[data-at-ms]')) refresh(element);
}

function refresh(element) {
  const atMs = Number(element.dataset.atMs);
  const isDue = element.dataset.due !== undefined && atMs <= now();
  setText(element, isDue ? 'now' : relative(atMs, now()));
}
