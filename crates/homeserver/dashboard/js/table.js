/**
 * Tables that become cards where there is little room. Their roles are said, for a browser forgets
 * them when rows are laid out as something else.
 */

import { h } from './dom.js';

/** A table: `columns` are `{ label, className }`, `rows` lists of cells. */
export function table(caption, columns, rows) {
  return h(
    'table',
    { class: 'cards', role: 'table' },
    h('caption', { class: 'unseen' }, caption),
    tableHead(columns),
    h('tbody', { role: 'rowgroup' }, rows.map((cells) => tableRow(columns, cells))),
  );
}

/** The head of a table. */
export function tableHead(columns) {
  const headings = columns.map((column) =>
    h('th', { scope: 'col', role: 'columnheader', class: column.className }, column.label),
  );
  return h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, headings));
}

/** One row. */
export function tableRow(columns, cells) {
  const filled = columns.map((column, at) =>
    h('td', { role: 'cell', class: column.className, 'data-label': column.label }, cells[at]),
  );
  return h('tr', { role: 'row' }, filled);
}
