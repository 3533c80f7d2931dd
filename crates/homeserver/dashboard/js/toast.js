/**
 * Short messages about what was done, seen at the edge of the page and read out by screen readers.
 */

import { h } from './dom.js';

const SHOWN_MS = 8000;
const MOST = 4;

/** Says that something was done. */
export function tell(message) {
  show('toasts-polite', 'good', message);
}

/** Says that something went wrong. */
export function complain(message) {
  show('toasts-urgent', 'bad', message);
}

function show(regionId, tone, message) {
  const region = document.getElementById(regionId);
  const toast = h('div', { class: 'toast', 'data-tone': tone }, h('span', {}, message));
  const close = () => toast.remove();
  toast.append(
    h('button', { type: 'button', class: 'toast-close', 'aria-label': 'Dismiss', onclick: close }, '×'),
  );
  region.append(toast);
  while (region.childElementCount > MOST) region.firstElementChild.remove();
  // A message that somebody is reading stays.
  const leave = () => (toast.matches(':hover, :focus-within') ? setTimeout(leave, 1000) : close());
  setTimeout(leave, SHOWN_MS);
}
