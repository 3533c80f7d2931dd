/**
 * What happens, as it happens.
 */

import * as api from '../api.js';
import { h, setText } from '../dom.js';
import { count, timeOfDay } from '../format.js';
import { serviceLink } from '../findings.js';

/** No more than this is kept, however long the page stays open. */
const MOST_ENTRIES = 200;
const SHORTEST_WAIT_MS = 2000;
const LONGEST_WAIT_MS = 30_000;

/** Each event in words, after the service's name. */
const WORDS = {
  'appservice.events_delivered': ({ event_count, transaction_id }) =>
    `acknowledged ${count(event_count, 'event')} (transaction ${transaction_id})`,
  'appservice.user_provisioned': ({ user_id }) => `has the user ${user_id}, which was made`,
  'appservice.alias_provisioned': ({ alias }) => `has the alias ${alias}, which was made`,
  'appservice.delivery_failed': ({ retry_count, transaction_id }) =>
    `did not take transaction ${transaction_id} (${count(retry_count, 'failed attempt')})`,
};
const TONES = { 'appservice.delivery_failed': 'bad' };

/** The page. */
export function eventsPage() {
  const state = h('span', { class: 'feed-state', role: 'status' }, 'Connecting…');
  const list = h('ol', { class: 'feed', 'aria-label': 'Events, newest first' });
  const none = h('p', { class: 'calm' }, 'Nothing has happened since this page was opened.');
  const hold = h('button', { type: 'button', class: 'button', 'aria-pressed': 'false' }, 'Hold');
  const filter = h('input', { id: 'feed-filter', type: 'search', placeholder: 'Filter by service', autocomplete: 'off', spellcheck: 'false' });
  const feed = new Feed({ list, none, matches: (id) => id.toLowerCase().includes(filter.value.trim().toLowerCase()) });
  filter.addEventListener('input', () => feed.applyFilter());
  hold.addEventListener('click', () => {
    const held = hold.getAttribute('aria-pressed') !== 'true';
    hold.setAttribute('aria-pressed', String(held));
    setText(hold, held ? 'Go on' : 'Hold');
    feed.hold(held);
  });
  const stream = new Stream((event) => feed.add(event), (words) => setText(state, words));
  const node = h(
    'div',
    {},
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Events'), state),
    h('p', { class: 'lead' }, `What happens, as it happens; the last ${MOST_ENTRIES} are kept here.`),
    h('div', { class: 'filters' }, h('label', { class: 'unseen', for: 'feed-filter' }, 'Filter by service'), filter, hold),
    h('div', { class: 'card flush' }, none, list),
  );
  return { title: 'Events', node, stop: () => stream.stop() };
}

/** The entries, newest first. */
class Feed {
  #list;
  #none;
  #matches;
  #held;

  constructor({ list, none, matches }) {
    this.#list = list;
    this.#none = none;
    this.#matches = matches;
  }

  add(event) {
    const line = entry(event);
    if (this.#held) {
      this.#held.unshift(line);
      this.#held.length = Math.min(this.#held.length, MOST_ENTRIES);
      return;
    }
    this.#put([line]);
  }

  #put(lines) {
    if (lines.length > 0) this.#none.hidden = true;
    this.#list.prepend(...lines);
    while (this.#list.childElementCount > MOST_ENTRIES) this.#list.lastElementChild.remove();
    this.applyFilter();
  }

  /** Keeps what comes in aside while somebody reads. */
  hold(is) {
    const held = this.#held ?? [];
    this.#held = is ? held : undefined;
    if (!is) this.#put(held);
  }

  applyFilter() {
    for (const line of this.#list.children) line.hidden = !this.#matches(line.dataset.id);
  }
}

function entry(event) {
  const words = WORDS[event.event];
  return h(
    'li',
    { 'data-id': event.service_id ?? '', 'data-tone': TONES[event.event] },
    h('time', { datetime: new Date(event.at_ms).toISOString() }, timeOfDay(event.at_ms)),
    h('span', {}, event.service_id !== undefined && serviceLink(event.service_id), ' ', words ? words(event) : event.event),
    h('span', { class: 'hint mono' }, event.event),
  );
}

/** The server's stream. A browser takes it up again by itself only after some kinds of failures. */
class Stream {
  #source;
  #timer;
  #waitMs = SHORTEST_WAIT_MS;
  #take;
  #say;

  constructor(take, say) {
    this.#take = take;
    this.#say = say;
    this.#open();
  }

  #open() {
    const source = new EventSource(api.eventsUrl());
    this.#source = source;
    source.addEventListener('open', () => {
      this.#waitMs = SHORTEST_WAIT_MS;
      this.#say('Live');
    });
    source.addEventListener('error', () => {
      source.close();
      this.#say('Connection lost; trying again…');
      // A stream does not say why it was refused; asking does, and ends a session that is over.
      api.get('session').catch(() => {});
      this.#timer = setTimeout(() => this.#open(), this.#waitMs);
      this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
    });
    source.addEventListener('lagged', (message) => {
      this.#say(`Live; ${count(JSON.parse(message.data).missed, 'event')} came too fast and were left out`);
    });
    for (const name of Object.keys(WORDS)) {
      source.addEventListener(name, (message) => this.#take({ event: name, ...JSON.parse(message.data) }));
    }
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source.close();
  }
}
