/**
 * The audit log, page by page.
 */

import * as api from '../api.js';
import { auditTable } from '../audit.js';
import { problemWords } from '../dialog.js';
import { h, replace } from '../dom.js';

const PAGE = 50;

/** The page. It shows one stretch of the log at a time: going on forgets the one before. */
export function auditPage() {
  const result = h('div', { class: 'card flush', 'aria-live': 'polite' }, h('p', { class: 'calm' }, 'Looking…'));
  const newest = h('button', { type: 'button', class: 'button', onclick: () => look() }, 'Newest');
  const older = h('button', { type: 'button', class: 'button' }, 'Older');
  let next;
  older.addEventListener('click', () => look(next));
  const look = async (before) => {
    try {
      const page = await api.get('audit', { limit: PAGE, before });
      next = page.next;
      older.disabled = next === undefined;
      replace(result, auditTable(page.entries, true));
      if (before !== undefined) result.scrollIntoView({ block: 'nearest' });
    } catch (error) {
      replace(result, h('p', { class: 'problem' }, problemWords(error)));
    }
  };
  look();
  const node = h(
    'div',
    {},
    h('h1', { tabindex: -1 }, 'Audit log'),
    h('p', { class: 'lead' }, 'What operators, services and the server itself did, newest first.'),
    result,
    h('nav', { class: 'pager', 'aria-label': 'Pages of the audit log' }, newest, older),
  );
  return { title: 'Audit log', node, stop: () => {} };
}
