/**
 * One service: where it stands, what it had, what holds it, and the verbs.
 */

import * as api from '../api.js';
import { ApiError } from '../api.js';
import { auditTable } from '../audit.js';
import { ago, due } from '../clock.js';
import { problemWords } from '../dialog.js';
import { doctorPart } from '../doctor.js';
import { Part, freshId, h, setAttribute, setText } from '../dom.js';
import { findingList } from '../findings.js';
import { bytes, count, duration, head, number, percent, sentence } from '../format.js';
import { Plots } from '../plots.js';
import { Poll } from '../poll.js';
import { STATE_MEANINGS, pauseWords, progressWords, rateWords, stateOf, statePills, transportWords } from '../services.js';
import { complain, tell } from '../toast.js';
import { factList, skipsPart, stuckPart, transactionPart } from '../transaction.js';
import { VERBS } from '../verbs.js';

const EVERY_MS = 2000;
const DETAILS_EVERY_MS = 30_000;
const AUDIT_ENTRIES = 20;
const ERROR_HEAD = 200;

/** The page of the service with this id. */
export function servicePage(context, id) {
  const page = new ServicePage(context, id);
  return { title: id, node: page.node, stop: () => page.stop() };
}

class ServicePage {
  #context;
  #id;
  #service;
  #transaction;
  #shown = {};
  #plots;
  #verbs;
  #polls = [];
  #problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  #parts;

  constructor(context, id) {
    this.#context = context;
    this.#id = id;
    this.#plots = new Plots(id);
    this.#verbs = context.mayAct ? new VerbBar(() => this.#state(), (told, verb) => this.#done(told, verb)) : undefined;
    const pills = h('div', { class: 'pills', id: 'state', role: 'status' });
    const callouts = h('div', { id: 'callouts' });
    const sections = this.#sections();
    this.node = h(
      'div',
      { class: 'service' },
      h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Services'), ' / ', h('span', {}, id)),
      h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, id), pills),
      this.#problem,
      callouts,
      this.#verbs?.node,
      sections.facts.node,
      sections.stuck.node,
      this.#plots.node,
      sections.transaction.node,
      sections.skips.node,
      context.mayAct && section('doctor', 'Doctor', doctorPart(id)).node,
      sections.findings.node,
      sections.registration.node,
      sections.audit.node,
    );
    const parts = {
      pills: new Part(pills, statePills),
      callouts: new Part(callouts, calloutsOf),
      facts: new Part(sections.facts.body, factsOf),
      stuck: new Part(sections.stuck.body, stuckPart),
      transaction: new Part(sections.transaction.body, transactionPart),
      skips: new Part(sections.skips.body, (list) => skipsPart(list, () => this.#service, context.mayAct, (told) => this.#done(told))),
      findings: new Part(sections.findings.body, (list) => findingList(list, 'The linter has nothing to say about this registration.')),
      registration: new Part(sections.registration.body, (text) => registrationOf(text, context.mayAct)),
      audit: new Part(sections.audit.body, (entries) => auditTable(entries, false)),
    };
    this.#parts = { ...parts, stuckSection: sections.stuck.node };
    this.#polls = [
      new Poll(() => this.#look(), EVERY_MS, (error) => this.#refused(error)),
      new Poll(() => this.#lookAtDetails(), DETAILS_EVERY_MS, (error) => this.#refused(error)),
    ];
  }

  #sections() {
    const stuck = section('stuck', 'The stuck event', []);
    stuck.node.hidden = true;
    return {
      facts: section('facts', 'Where it stands', []),
      stuck,
      transaction: section('transaction', 'The transaction in flight', []),
      skips: section('skips', 'Skipped transactions', []),
      findings: section('findings', 'The linter’s findings', []),
      registration: section('registration', 'Registration', []),
      audit: section('audit', 'Audit', []),
    };
  }

  #state() {
    return { service: this.#service, transaction: this.#transaction };
  }

  async #look() {
    const service = await api.get(api.path('appservices', this.#id));
    this.#problem.hidden = true;
    this.#service = service;
    this.#parts.pills.show(stateOf(service));
    this.#parts.callouts.show(service);
    this.#parts.facts.show(service);
    this.#parts.stuckSection.hidden = !service.stuck;
    if (service.stuck) this.#parts.stuck.show(service.stuck);
    this.#verbs?.show(service);
    this.#plots.live(service);
    await this.#within('transaction', () => this.#lookAtTransaction(service));
    await this.#within('skips', () => this.#lookAtSkips(service));
    await this.#within('registration', () => this.#lookAtRegistration(service));
  }

  /** A section that cannot be shown says so itself, and takes no other with it. */
  async #within(name, look) {
    try {
      await look();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#parts[name].fail(problemWords(error));
    }
  }

  /** It may be large: only when it is another one, or has failed again. */
  async #lookAtTransaction({ in_flight: inFlight }) {
    const mark = inFlight ? `${inFlight.transaction_id} ${inFlight.failed_attempts}` : 'none';
    if (this.#shown.transaction === mark) return;
    this.#transaction = inFlight && (await api.getIfAny(api.path('appservices', this.#id, 'transaction')));
    this.#parts.transaction.show(this.#transaction ?? null);
    this.#shown.transaction = mark;
  }

  async #lookAtSkips(service) {
    const mark = String(service.skipped);
    if (this.#shown.skips === mark) return;
    const list = await api.get(api.path('appservices', this.#id, 'skips'));
    this.#parts.skips.show(list.skips);
    this.#shown.skips = mark;
  }

  async #lookAtRegistration(service) {
    const mark = String(service.revision);
    if (this.#shown.registration === mark) return;
    this.#parts.registration.show(await api.get(api.path('appservices', this.#id, 'registration')));
    this.#shown.registration = mark;
  }

  /** What changes seldom, or when somebody acts. */
  async #lookAtDetails() {
    await this.#within('audit', async () => {
      const audit = await api.get('audit', { limit: AUDIT_ENTRIES, service_id: this.#id });
      this.#parts.audit.show(audit.entries);
    });
    await this.#within('findings', async () => {
      const lint = await api.post('lint', {});
      const mine = ({ service_id, other_id }) => service_id === this.#id || other_id === this.#id;
      this.#parts.findings.show(lint.findings.filter(mine));
    });
  }

  #done(told, verb) {
    tell(told);
    if (verb?.leaves) {
      this.#context.go('#/');
      return;
    }
    this.#shown = {};
    for (const poll of this.#polls) poll.now();
  }

  #refused(error) {
    const gone = error instanceof ApiError && error.status === 404;
    this.#problem.textContent = gone ? `There is no service ${this.#id}; it may have been removed.` : problemWords(error);
    this.#problem.hidden = false;
  }

  stop() {
    this.#plots.stop();
    for (const poll of this.#polls) poll.stop();
  }
}

function section(id, title, body) {
  const titleId = `${id}-title`;
  const box = h('div', { class: 'section-body' }, body);
  const node = h('section', { class: 'card', id, 'aria-labelledby': titleId }, h('h2', { id: titleId }, title), box);
  return { node, body: box };
}

/** What has to be said before everything else. */
function calloutsOf(service) {
  const callouts = [];
  if (service.state === 'failed') callouts.push(['bad', 'Given up. ', STATE_MEANINGS.failed]);
  if (service.paused) callouts.push(['calm', `${pauseWords(service.paused)}. `, pauseTimes(service.paused)]);
  if (service.state === 'retrying' && service.last_error) {
    callouts.push(['bad', `${head(sentence(service.last_error.message), ERROR_HEAD)} `, service.next_try_at_ms ? ['Next try ', due(service.next_try_at_ms), ', or with the first sign of life.'] : '']);
  }
  for (const [words, progress] of [['Draining', service.drain], ['Replaying', service.replay]]) {
    if (progress) callouts.push(['calm', `${words}: `, [progressWords(progress), ' ', progressBar(words, progress)]]);
  }
  return callouts.map(([tone, strong, rest]) => h('p', { class: 'callout', 'data-tone': tone }, h('strong', {}, strong), rest));
}

function pauseTimes(pause) {
  const since = ['Since ', ago(pause.since_ms)];
  return pause.until_ms === undefined ? [since, '; until somebody resumes it.'] : [since, '; it ends ', ago(pause.until_ms), '.'];
}

function progressBar(words, { from, at, upto }) {
  return h('progress', { max: Math.max(1, upto - from), value: Math.max(0, at - from), 'aria-label': words });
}

function factsOf(service) {
  const error = service.last_error;
  return [
    factList([
      ['Waiting', service.depth === 0 ? 'nothing' : count(service.depth, 'entry', 'entries')],
      ['Oldest waiting', service.oldest_waiting_ms !== undefined && duration(service.oldest_waiting_ms)],
      ['Delivered', `${rateWords(service)} in the last minute`],
      ['Attempts', attemptWords(service.rates)],
      ['Last success', service.last_success_at_ms === undefined ? 'none yet' : ago(service.last_success_at_ms)],
      ['Next try', service.next_try_at_ms !== undefined && due(service.next_try_at_ms)],
      ['In flight', inFlightWords(service.in_flight)],
      ['Cursor', number(service.cursor)],
      ['Batch', `up to ${count(service.batch_limit, 'entry', 'entries')}`],
      ['Own user', h('span', { class: 'mono' }, service.sender)],
      ['Url', service.url !== undefined && h('span', { class: 'mono' }, service.url)],
      ['Transport', transportWords(service)],
      ['Old habits', dialectWords(service.dialect)],
      ['Stuck events', policyWords(service)],
    ]),
    error && h('h3', {}, 'Last error'),
    error && h('p', {}, ago(error.at_ms), `, transaction `, h('span', { class: 'mono' }, error.transaction_id), `: ${error.message}`),
    error?.body !== undefined && h('pre', { class: 'answer', tabindex: 0 }, error.body),
  ];
}

function attemptWords(rates) {
  if (rates.attempts_last_5_minutes === 0) return 'none in 5 minutes';
  return `${number(rates.attempts_last_5_minutes)} in 5 minutes, ${percent(rates.failed_percent)} failed`;
}

function inFlightWords(inFlight) {
  if (!inFlight) return 'nothing';
  const failed = inFlight.failed_attempts > 0 && `, ${count(inFlight.failed_attempts, 'failed attempt')}`;
  return [`${count(inFlight.events, 'event')}, ${bytes(inFlight.bytes)}`, failed || '', ', made ', ago(inFlight.since_ms)];
}

function dialectWords(dialect) {
  const habits = [];
  if (dialect.legacy_paths) habits.push('old paths');
  if (dialect.query_token) habits.push('token in the query');
  return habits.length > 0 && habits.join(', ');
}

function policyWords({ skip_stuck_after: attempts, skipped }) {
  const rule = attempts === undefined ? 'wait for a person' : `are skipped after ${count(attempts, 'attempt')}`;
  return skipped > 0 ? `${rule}; ${number(skipped)} skipped and not replayed` : rule;
}

function registrationOf(text, mayAct) {
  const isApi = text.source.kind === 'api';
  const change = `#/services/${encodeURIComponent(text.id)}/registration`;
  return [
    factList([
      ['Revision', number(text.revision)],
      ['Comes from', isApi ? 'the operator API' : h('span', { class: 'mono' }, text.source.path)],
    ]),
    h('pre', { tabindex: 0, 'aria-label': 'Registration, tokens hidden' }, text.yaml),
    mayAct && isApi && h('a', { class: 'button', href: change }, 'Change it…'),
    mayAct && !isApi && h('p', { class: 'hint' }, 'It is changed by changing the file, which the server watches.'),
  ];
}

/** The verbs' buttons. Those that make no sense now say why. */
class VerbBar {
  #buttons = [];

  constructor(state, done) {
    const groups = VERBS.map(({ label, verbs }) =>
      h('div', { class: 'verb-group', role: 'group', 'aria-label': label }, verbs.map((verb) => this.#button(verb, state, done))),
    );
    this.node = h('div', { class: 'verbs', id: 'verbs' }, groups);
  }

  #button(verb, state, done) {
    const why = h('span', { class: 'unseen', id: freshId('why') });
    // Not `disabled`: who works by keyboard has to be able to get there and hear the reason.
    const button = h(
      'button',
      { type: 'button', class: verb.danger ? 'button danger-quiet' : 'button', 'data-verb': verb.name, 'aria-disabled': 'true', 'aria-describedby': why.id },
      verb.words,
    );
    button.addEventListener('click', async () => {
      const { service, transaction } = state();
      if (!service) return;
      const reason = verb.unavailable(service);
      if (reason) {
        complain(reason);
        return;
      }
      const told = await verb.start(service, { transaction });
      if (told !== undefined) done(told, verb);
    });
    this.#buttons.push({ verb, button, why });
    return [button, why];
  }

  show(service) {
    for (const { verb, button, why } of this.#buttons) {
      const reason = verb.unavailable(service) || undefined;
      setAttribute(button, 'aria-disabled', reason && 'true');
      setAttribute(button, 'title', reason);
      setText(why, reason ?? '');
    }
  }
}
