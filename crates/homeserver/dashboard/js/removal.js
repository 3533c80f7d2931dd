/**
 * Removing a service: first what would go, then, after its id was typed, the deed.
 */

import * as api from './api.js';
import { InputError, REASON, ask, problemWords } from './dialog.js';
import { h } from './dom.js';
import { count, number } from './format.js';
import { complain, tell } from './toast.js';

const EVERY_MS = 3000;
const MOST_QUESTIONS = 1200;

/** Asks twice. Gives what to tell, or `undefined` if nothing was removed. */
export async function askToRemove(service) {
  const where = api.path('appservices', service.id);
  const plan = await ask({
    title: `Remove ${service.id}?`,
    says: ['First the server says what would happen. This step changes nothing.'],
    fields: [
      {
        name: 'purge',
        label: 'What it left behind',
        type: 'radio',
        value: 'no',
        options: [
          ['no', 'stays: only the registration goes'],
          ['yes', 'goes too: its ghosts leave their rooms and are deactivated, its aliases and directory entries are deleted, its queue is dropped'],
        ],
      },
    ],
    confirm: 'Show what would happen',
    act: async ({ purge }) => {
      const query = { purge: purge === 'yes', dry_run: true };
      return { purge: query.purge, report: await api.remove(where, query) };
    },
  });
  return plan && carryOut(service, where, plan);
}

function carryOut(service, where, { purge, report }) {
  return ask({
    title: `Remove ${service.id} for good?`,
    says: [
      purge ? 'The registration and all that the service left behind go. This cannot be undone.' : 'The registration goes. Its users, rooms and aliases stay.',
      reportList(report),
    ],
    fields: [
      { name: 'typed', label: `Type the service’s id, ${service.id}, to confirm`, spellcheck: 'false', autocapitalize: 'none' },
      REASON,
    ],
    confirm: purge ? 'Remove and purge' : 'Remove',
    danger: true,
    act: async ({ typed, reason }) => {
      if (typed !== service.id) throw new InputError(`This is not the service’s id: type ${service.id}.`);
      const done = await api.remove(where, { purge, dry_run: false, reason });
      if (done.finished) return `${service.id} is removed.`;
      follow(service.id, where);
      return `${service.id} is removed. Clearing up goes on for a while; you may leave.`;
    },
  });
}

/** Asks again until the server has cleared up, as long as this page is open. */
async function follow(id, where) {
  try {
    for (let asked = 0; asked < MOST_QUESTIONS; asked += 1) {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      // The same request tells how far it has come.
      const report = await api.remove(where, { purge: true, dry_run: false });
      if (report.finished) {
        tell(`What ${id} left behind is cleared up.`);
        return;
      }
    }
  } catch (error) {
    complain(`How far clearing up after ${id} has come is unknown: ${problemWords(error)}`);
  }
}

function reportList(report) {
  const lines = [
    count(report.ghosts, 'ghost'),
    count(report.memberships, 'room membership'),
    count(report.aliases, 'alias', 'aliases'),
    count(report.directory_entries, 'directory entry', 'directory entries'),
    `${number(report.queued)} queued for it and not delivered`,
  ];
  return [
    'What the server counted:',
    h('ul', {}, lines.map((line) => h('li', {}, line))),
    report.examples.length > 0 && `For example ${report.examples.join(', ')}.`,
  ];
}
