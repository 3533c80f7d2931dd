/**
 * Entries of the audit log as a table.
 */

import { ago } from './clock.js';
import { h } from './dom.js';
import { serviceLink } from './findings.js';
import { table } from './table.js';

const COLUMNS = [
  { label: 'When' },
  { label: 'Who' },
  { label: 'What' },
  { label: 'Service' },
  { label: 'Reason' },
  { label: 'Detail' },
];

/** The table; of one service's own page without the service's column. */
export function auditTable(entries, withService) {
  if (entries.length === 0) return h('p', { class: 'calm' }, 'Nobody has done anything yet.');
  const columns = COLUMNS.filter((column) => withService || column.label !== 'Service');
  const rows = entries.map((entry) => {
    const cells = [
      ago(entry.at_ms),
      entry.who,
      h('strong', {}, entry.action.replaceAll('_', ' ')),
      entry.service_id === undefined ? '–' : serviceLink(entry.service_id),
      entry.reason ?? '–',
      entry.detail ?? '–',
    ];
    if (!withService) cells.splice(3, 1);
    return cells;
  });
  return table('What operators and the server did, newest first', columns, rows);
}
