/**
 * All services, the worst first.
 */

import * as api from '../api.js';
import { ago, now } from '../clock.js';
import { problemWords } from '../dialog.js';
import { Part, h, replace, setText } from '../dom.js';
import { count, duration, head, number, percent, sentence } from '../format.js';
import { sparkline } from '../plot.js';
import { Poll } from '../poll.js';
import { lagOf, needsAttention, rateWords, stateOf, statePills, transportWords, worstFirst } from '../services.js';
import { tableHead } from '../table.js';

const EVERY_MS = 2000;
/** Samples come every 30 s. */
const SPARKS_EVERY_MS = 30_000;
const HOUR_MS = 3_600_000;
const ERROR_HEAD = 120;

const COLUMNS = [
  { label: 'State', className: 'c-state' },
  { label: 'Service', className: 'c-id' },
  { label: 'Lag, last hour', className: 'c-spark' },
  { label: 'Waiting', className: 'c-number' },
  { label: 'Oldest', className: 'c-number' },
  { label: 'Rate', className: 'c-number' },
  { label: 'Last error', className: 'c-error' },
];

/** The page. */
export function overview({ mayAct, showServer }) {
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const facts = h('dl', { class: 'tiles', id: 'summary' });
  const list = new ServiceTable();
  const body = h('div', { id: 'services' });
  const filter = filterBar(() => list.filter(filter.words(), filter.onlyAttention()));
  const node = h(
    'div',
    {},
    h(
      'div',
      { class: 'page-head' },
      h('h1', { tabindex: -1 }, 'Services'),
      mayAct && h('a', { class: 'button primary', href: '#/add' }, 'Add a service'),
    ),
    problem,
    body,
  );
  let shape;
  const summary = new Part(facts, tiles);
  const look = async () => {
    const answer = await api.get('appservices');
    problem.hidden = true;
    showServer(answer);
    const empty = answer.services.length === 0;
    if (shape !== empty) {
      replace(body, empty ? emptyState(mayAct) : [facts, filter.node, list.node]);
      shape = empty;
    }
    summary.show(totals(answer.services));
    filter.count(answer.services.filter(needsAttention).length);
    list.show(answer.services);
  };
  const refused = (error) => {
    problem.textContent = problemWords(error);
    problem.hidden = false;
  };
  const polls = [new Poll(look, EVERY_MS, refused), new Poll(() => list.drawSparks(), SPARKS_EVERY_MS)];
  return { title: 'Services', node, stop: () => polls.forEach((poll) => poll.stop()) };
}

function totals(services) {
  const sum = (value) => services.reduce((all, service) => all + value(service), 0);
  const states = {};
  for (const { state } of services) states[state] = (states[state] ?? 0) + 1;
  return {
    services: services.length,
    states,
    paused: services.filter((service) => service.paused).length,
    attention: services.filter(needsAttention).length,
    waiting: sum((service) => service.depth),
    oldest: Math.max(0, ...services.map(lagOf)),
    rate: sum((service) => service.rates.delivered_last_minute),
  };
}

function tiles(all) {
  const states = ['failed', 'retrying', 'delivering', 'idle']
    .filter((state) => all.states[state])
    .map((state) => `${number(all.states[state])} ${state}`);
  if (all.paused > 0) states.push(`${number(all.paused)} paused`);
  const tile = (label, value, hint, tone) =>
    h('div', { class: 'tile', 'data-tone': tone }, h('dt', {}, label), h('dd', {}, value, hint && h('span', { class: 'hint' }, hint)));
  return [
    tile('Services', number(all.services), states.join(' · ')),
    tile('Need attention', number(all.attention), all.attention === 0 ? 'all is well' : 'listed first', all.attention > 0 ? 'bad' : 'good'),
    tile('Waiting', number(all.waiting), all.waiting === 0 ? 'nothing' : `the oldest for ${duration(all.oldest)}`),
    tile('Delivered', `${number(all.rate)}/min`, 'in the last minute'),
  ];
}

function filterBar(changed) {
  const search = h('input', {
    id: 'search', type: 'search', placeholder: 'Filter by id', autocomplete: 'off', spellcheck: 'false', oninput: changed,
  });
  const attention = h('input', { id: 'attention', type: 'checkbox', onchange: changed });
  const words = h('span', {}, 'Only what needs attention');
  return {
    node: h(
      'form',
      { class: 'filters', role: 'search', onsubmit: (submitted) => submitted.preventDefault() },
      h('label', { class: 'unseen', for: 'search' }, 'Filter by id'),
      search,
      h('label', { class: 'check-label', for: 'attention' }, attention, words),
    ),
    words: () => search.value.trim().toLowerCase(),
    onlyAttention: () => attention.checked,
    count: (many) => setText(words, `Only what needs attention (${number(many)})`),
  };
}

function emptyState(mayAct) {
  return h(
    'section',
    { class: 'card empty', id: 'empty' },
    h('h2', {}, 'No service yet'),
    h('p', {}, 'A service (a bridge, a bot) is made known to the server by its registration, a small YAML file that most bridges write themselves. Any of these adds one, without a restart:'),
    h(
      'ul',
      {},
      mayAct && h('li', {}, h('a', { href: '#/add' }, 'Paste the registration here'), '.'),
      h('li', {}, 'On the server: ', h('code', {}, 'bridgehead appservice add registration.yaml'), '.'),
      h('li', {}, 'Name the file in the server’s configuration, which it watches.'),
    ),
  );
}

/** The table, of which rows are kept and brought up to date. */
class ServiceTable {
  #rows = new Map();
  #body = h('tbody', { role: 'rowgroup' });
  #none = h('p', { class: 'calm', hidden: true }, 'No service matches.');
  #words = '';
  #onlyAttention = false;
  #seen = new IntersectionObserver((changes) => this.#noticed(changes), { rootMargin: '400px' });

  constructor() {
    this.node = h(
      'div',
      { class: 'card flush' },
      h(
        'table',
        { class: 'cards overview', role: 'table' },
        h('caption', { class: 'unseen' }, 'Services, those in need of attention first'),
        tableHead(COLUMNS),
        this.#body,
      ),
      this.#none,
    );
  }

  show(services) {
    const ids = new Set(services.map((service) => service.id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      this.#seen.unobserve(row.node);
      row.node.remove();
      this.#rows.delete(id);
    }
    const sorted = [...services].sort(worstFirst);
    for (const service of sorted) this.#row(service.id).show(service);
    this.#order(sorted.map((service) => this.#rows.get(service.id).node));
    this.#applyFilter();
  }

  #row(id) {
    let row = this.#rows.get(id);
    if (!row) {
      row = new Row(id);
      this.#rows.set(id, row);
      this.#body.append(row.node);
      this.#seen.observe(row.node);
    }
    return row;
  }

  /** Puts rows in order, but not under somebody's pointer or focus. */
  #order(nodes) {
    if (this.#body.matches(':hover') || this.#body.contains(document.activeElement)) return;
    nodes.forEach((node, at) => {
      if (this.#body.children[at] !== node) this.#body.insertBefore(node, this.#body.children[at]);
    });
  }

  filter(words, onlyAttention) {
    this.#words = words;
    this.#onlyAttention = onlyAttention;
    this.#applyFilter();
  }

  #applyFilter() {
    let shown = 0;
    for (const row of this.#rows.values()) {
      const matches = row.id.toLowerCase().includes(this.#words);
      row.node.hidden = !matches || (this.#onlyAttention && !row.attention);
      if (!row.node.hidden) shown += 1;
    }
    this.#none.hidden = shown > 0;
  }

  #noticed(changes) {
    for (const change of changes) {
      const row = this.#rows.get(change.target.dataset.id);
      if (!row) continue;
      row.visible = change.isIntersecting;
      if (row.visible && !row.drawn) row.drawSpark();
    }
  }

  /** Draws the small plots of the rows that can be seen. */
  async drawSparks() {
    for (const row of [...this.#rows.values()]) {
      if (row.visible) await row.drawSpark();
    }
  }
}

class Row {
  visible = false;
  drawn = false;
  attention = false;
  #parts;
  #spark = h('div', { class: 'spark-box' });

  constructor(id) {
    this.id = id;
    const cells = COLUMNS.map((column) =>
      h('td', { role: 'cell', class: column.className, 'data-label': column.label }),
    );
    this.node = h('tr', { role: 'row', 'data-id': id }, cells);
    const [state, name, spark, waiting, oldest, rate, error] = cells;
    const under = h('span', { class: 'under' });
    name.append(h('a', { href: `#/services/${encodeURIComponent(id)}` }, id), under);
    spark.append(this.#spark);
    this.#parts = [
      [new Part(state, (service) => h('div', { class: 'pills' }, statePills(service))), stateOf],
      [new Part(under, (service) => `${service.sender} · ${transportWords(service)}`), ({ sender, transport }) => ({ sender, transport })],
      [new Part(waiting, (depth) => number(depth)), (service) => service.depth],
      [new Part(oldest, oldestWords), (service) => service.oldest_waiting_ms ?? null],
      [new Part(rate, rateCell), ({ rates }) => ({ rates })],
      [new Part(error, errorCell), errorOf],
    ];
  }

  show(service) {
    this.attention = needsAttention(service);
    this.node.classList.toggle('attention', this.attention);
    for (const [part, value] of this.#parts) part.show(value(service));
  }

  async drawSpark() {
    this.drawn = true;
    try {
      const history = await api.get(api.path('appservices', this.id, 'history'), { span: 'hour' });
      const lags = history.samples.map((sample) => sample.lag_ms);
      const words = lags.length === 0
        ? 'no history yet'
        : `Lag over the last hour: now ${duration(lags[lags.length - 1])}, at most ${duration(Math.max(...lags))}`;
      const pairs = history.samples.map((sample) => [sample.at_ms, sample.lag_ms]);
      replace(this.#spark, lags.length > 0 ? sparkline(pairs, now() - HOUR_MS, now(), words) : h('span', { class: 'hint' }, '–'));
    } catch {
      // The overview itself says when the server is away; a small plot may be missing.
      this.drawn = false;
    }
  }
}

function oldestWords(ms) {
  return ms === null ? '–' : duration(ms >= 1000 ? Math.floor(ms / 1000) * 1000 : ms);
}

function rateCell({ rates }) {
  const failed = rates.attempts_last_5_minutes > 0 && rates.failed_percent > 0;
  return [
    rateWords({ rates }),
    failed && h('span', { class: 'under warn', title: `of ${count(rates.attempts_last_5_minutes, 'attempt')} in 5 minutes` }, `${percent(rates.failed_percent)} fail`),
  ];
}

/** Of a service that is well again only that there was one. */
function errorOf({ last_error: error, state }) {
  return error ? { ...error, mended: !['retrying', 'failed'].includes(state) } : null;
}

function errorCell(error) {
  if (!error) return h('span', { class: 'hint' }, '–');
  return h(
    'div',
    { class: error.mended ? 'mended' : 'error-head' },
    h('span', { title: head(error.message, 400) }, head(sentence(error.message), ERROR_HEAD)),
    h('span', { class: 'under' }, ago(error.at_ms), error.mended && ', mended since'),
  );
}
