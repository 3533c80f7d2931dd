/**
 * The doctor: what keeps a service from being reached, step by step.
 */

import * as api from './api.js';
import { problemWords } from './dialog.js';
import { h, prose, replace } from './dom.js';
import { duration, sentence } from './format.js';
import { pill } from './services.js';

const OUTCOMES = {
  ok: ['ok', 'Well'],
  warning: ['warning', 'Odd'],
  failed: ['error', 'Failed'],
  skipped: ['skipped', 'Not tried'],
};
const STEP_WORDS = {
  dns: 'Name',
  tcp: 'Connection',
  tls: 'Encryption',
  path: 'Path',
  token: 'Token',
  ping: 'Ping',
  round_trip: 'Round trip of an event',
};

/** The button and what it finds. */
export function doctorPart(id) {
  const answer = h('div', { class: 'report', 'aria-live': 'polite' });
  const button = h('button', { type: 'button', class: 'button' }, 'Run the doctor');
  button.addEventListener('click', async () => {
    button.disabled = true;
    replace(answer, h('p', { class: 'calm' }, 'Examining…'));
    try {
      replace(answer, report(await api.post(api.path('appservices', id, 'doctor'))));
    } catch (error) {
      replace(answer, h('p', { class: 'problem' }, problemWords(error)));
    } finally {
      button.disabled = false;
    }
  });
  return [
    h('p', {}, 'Tries one thing after the other, from the service’s name to an event’s round trip, and says what to do about what fails.'),
    button,
    answer,
  ];
}

function report({ healthy, steps }) {
  return [
    h('p', {}, h('strong', {}, healthy ? 'All is well.' : 'Something is wrong.')),
    h('ol', { class: 'steps' }, steps.map(step)),
  ];
}

function step({ name, outcome, took_ms, detail, cure }) {
  const [kind, words] = OUTCOMES[outcome] ?? ['note', outcome];
  return h(
    'li',
    { class: 'step' },
    h('div', { class: 'finding-head' }, pill(kind, words), h('strong', {}, STEP_WORDS[name] ?? name), outcome !== 'skipped' && h('span', { class: 'hint' }, took_ms === 0 ? 'in less than 1 ms' : `in ${duration(took_ms)}`)),
    h('p', {}, prose(sentence(detail))),
    cure !== undefined && h('p', { class: 'cure' }, h('span', { class: 'cure-label' }, 'Cure: '), prose(sentence(cure))),
  );
}
