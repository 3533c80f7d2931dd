/**
 * Who may look and who may act.
 */

import * as api from '../api.js';
import { ago } from '../clock.js';
import { ask, problemWords, secret, show } from '../dialog.js';
import { h, replace } from '../dom.js';
import { table } from '../table.js';
import { tell } from '../toast.js';

const COLUMNS = [{ label: 'Name' }, { label: 'Role' }, { label: 'Made' }, { label: 'Last used' }, { label: 'Change', className: 'c-button' }];
/** The one that the server has made itself; it stays. */
const FIRST = 'local';
const ROLE_WORDS = { read: 'looks', act: 'looks and acts' };

/** The page. */
export function operatorsPage({ mayAct, session }) {
  const result = h('div', { class: 'card flush' }, h('p', { class: 'calm' }, 'Looking…'));
  const look = async () => {
    try {
      const { operators } = await api.get('operators');
      const columns = mayAct ? COLUMNS : COLUMNS.slice(0, -1);
      replace(result, table('Operators by name', columns, operators.map(row)));
    } catch (error) {
      replace(result, h('p', { class: 'problem', role: 'alert' }, problemWords(error)));
    }
  };
  const row = (operator) => [
    h('strong', {}, operator.name, operator.name === session.name && h('span', { class: 'hint' }, ' (you)')),
    ROLE_WORDS[operator.role] ?? operator.role,
    ago(operator.created_at_ms),
    operator.last_used_at_ms === undefined ? 'never' : ago(operator.last_used_at_ms),
    mayAct && operator.name !== FIRST && h('button', { type: 'button', class: 'button danger-quiet', 'aria-label': `Remove operator ${operator.name}`, onclick: () => removeOne(operator) }, 'Remove…'),
  ];
  const removeOne = async (operator) => {
    const told = await ask({
      title: `Remove operator ${operator.name}?`,
      says: [
        'The token is no longer good, and sessions that were begun with it end.',
        operator.name === session.name && 'This is you: you will be signed out.',
      ],
      confirm: 'Remove',
      danger: true,
      act: async () => {
        await api.remove(api.path('operators', operator.name));
        return `Operator ${operator.name} is removed.`;
      },
    });
    if (told === undefined) return;
    tell(told);
    look();
  };
  const add = async () => {
    const made = await askForNew();
    if (!made) return;
    look();
    await show({
      title: `Token of ${made.operator.name}`,
      body: [h('p', {}, 'It is shown only now: the server keeps no copy that it could show again.'), secret('Operator token', made.token)],
      close: 'I have it',
    });
  };
  look();
  const node = h(
    'div',
    {},
    h('div', { class: 'page-head' }, h('h1', { tabindex: -1 }, 'Operators'), mayAct && h('button', { type: 'button', class: 'button primary', onclick: add }, 'Add an operator…')),
    h('p', { class: 'lead' }, 'Each has a token of their own; what they do stands in the audit log under their name.'),
    result,
  );
  return { title: 'Operators', node, stop: () => {} };
}

function askForNew() {
  return ask({
    title: 'Add an operator',
    says: ['A token is made for them and shown once.'],
    fields: [
      { name: 'name', label: 'Name', hint: '1 to 64 letters, digits, dots, underscores and hyphens.', required: true, maxlength: 64, pattern: '[A-Za-z0-9._\\-]+', autocapitalize: 'none', spellcheck: 'false' },
      { name: 'role', label: 'Role', type: 'radio', value: 'read', options: [['read', 'read: looks at everything'], ['act', 'act: changes things, too']] },
    ],
    confirm: 'Add',
    act: ({ name, role }) => api.post('operators', { name, role }),
  });
}
