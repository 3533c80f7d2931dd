/**
 * Transactions laid open: the one in flight, the event that a service is stuck at, and those that
 * were skipped.
 */

import { ago } from './clock.js';
import { h } from './dom.js';
import { bytes, count, dateTime, number } from './format.js';
import { table } from './table.js';
import { askToReplaySkip } from './verbs.js';

const EVENT_COLUMNS = [
  { label: 'Type' },
  { label: 'Sender' },
  { label: 'Room' },
  { label: 'Event' },
  { label: 'Size', className: 'c-number' },
];
/** More than this is not laid out as text; the API has all of it. */
const MOST_RAW_CHARACTERS = 200_000;

/** Pairs of words, as a list of facts. Pairs without a value are left out. */
export function factList(pairs) {
  return h(
    'dl',
    { class: 'facts' },
    pairs
      .filter(([, value]) => value !== undefined && value !== null && value !== false)
      .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
  );
}

const mono = (words) => words !== undefined && h('span', { class: 'mono' }, words);

/** The event that keeps everything behind it waiting. */
export function stuckPart(stuck) {
  return [
    h('p', {}, 'The service keeps refusing this one event, and everything behind it waits. The server never skips it by itself unless the policy says so: mend the service, or skip the event.'),
    factList([
      ['Event', mono(stuck.event_id) || 'a to-device message'],
      ['Type', mono(stuck.event_type)],
      ['Sender', mono(stuck.sender)],
      ['Room', mono(stuck.room_id)],
      ['Position', number(stuck.position)],
      ['Transaction', mono(stuck.transaction_id)],
      ['Known since', ago(stuck.since_ms)],
    ]),
    h('h3', {}, 'What the service answered'),
    h('pre', { class: 'answer', tabindex: 0 }, stuck.answer),
  ];
}

/** The transaction in flight with all that is in it. */
export function transactionPart(transaction) {
  if (!transaction) return h('p', { class: 'calm' }, 'No transaction awaits its acknowledgement.');
  return [
    factList([
      ['Transaction', mono(transaction.transaction_id)],
      ['Made', ago(transaction.created_at_ms)],
      ['Failed attempts', number(transaction.failed_attempts)],
      ['Size', bytes(transaction.bytes)],
      ['Events', number(transaction.events.length)],
      ['Moves the cursor to', number(transaction.upto)],
    ]),
    transaction.events.length > 0
      ? eventTable(transaction.events, 'Events of the transaction')
      : h('p', { class: 'calm' }, 'It has no room events, only what goes beside them.'),
    raw(transaction),
  ];
}

function eventTable(events, caption) {
  const rows = events.map((event) => [
    mono(event.type),
    mono(event.sender),
    mono(event.room_id),
    mono(event.event_id),
    bytes(event.bytes),
  ]);
  return table(caption, EVENT_COLUMNS, rows);
}

/** The body as it is sent, made only when somebody opens it. */
function raw(transaction) {
  const text = h('pre', { tabindex: 0 });
  const details = h('details', {}, h('summary', {}, 'The body as it is sent (JSON)'), text);
  details.addEventListener('toggle', () => {
    if (!details.open || text.textContent !== '') return;
    const whole = JSON.stringify(transaction.body, null, 2);
    const cut = whole.length - MOST_RAW_CHARACTERS;
    text.textContent = cut > 0 ? `${whole.slice(0, MOST_RAW_CHARACTERS)}\n… ${number(cut)} more characters` : whole;
  });
  return details;
}

/** Skipped transactions, each with its button for who may act. */
export function skipsPart(skips, service, mayAct, done) {
  if (skips.length === 0) return h('p', { class: 'calm' }, 'Nothing was skipped.');
  return h('ul', { class: 'skips' }, skips.map((skip) => skipItem(skip, service, mayAct, done)));
}

function skipItem(skip, service, mayAct, done) {
  const replay = async () => {
    const told = await askToReplaySkip(service(), skip);
    if (told !== undefined) done(told);
  };
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'skip-head' },
      h('span', {}, h('strong', {}, 'Transaction ', mono(skip.transaction_id)), ` with ${count(skip.events.length, 'event')}`),
      mayAct && h('button', { type: 'button', class: 'button', onclick: replay }, skip.replayed_at_ms === undefined ? 'Replay…' : 'Replay again…'),
    ),
    factList([
      ['Skipped', [ago(skip.at_ms), ` by ${skip.by}`]],
      ['Reason', skip.reason],
      ['Replayed', skip.replayed_at_ms !== undefined && dateTime(skip.replayed_at_ms)],
      ['Positions', `after ${number(skip.from)}, up to ${number(skip.upto)}`],
    ]),
    skip.answer !== undefined && h('pre', { class: 'answer', tabindex: 0 }, skip.answer),
    skip.events.length > 0 && h('details', {}, h('summary', {}, 'Its events'), eventTable(skip.events, 'Events of the skipped transaction')),
  );
}
