/**
 * What the linter has to say about all registrations in force.
 */

import * as api from '../api.js';
import { problemWords } from '../dialog.js';
import { h, replace } from '../dom.js';
import { findingList } from '../findings.js';
import { count } from '../format.js';

/** The page. */
export function lintPage() {
  const result = h('div', { class: 'card', 'aria-live': 'polite', 'aria-busy': 'true' }, h('p', { class: 'calm' }, 'Looking…'));
  const button = h('button', { type: 'button', class: 'button', onclick: () => look() }, 'Look again');
  const look = async () => {
    button.disabled = true;
    try {
      const { findings } = await api.post('lint', {});
      const title = findings.length === 0 ? 'No findings' : `${count(findings.length, 'finding')}, the worst first`;
      replace(result, h('h2', {}, title), findingList(findings, 'The linter has nothing to say about the registrations in force.'));
    } catch (error) {
      replace(result, h('p', { class: 'problem' }, problemWords(error)));
    } finally {
      button.disabled = false;
      result.removeAttribute('aria-busy');
    }
  };
  look();
  const node = h(
    'div',
    {},
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Linter'), button),
    h('p', { class: 'lead' }, 'What is doubtful about the registrations in force, with examples that show it.'),
    result,
  );
  return { title: 'Linter', node, stop: () => {} };
}
