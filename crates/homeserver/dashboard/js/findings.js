/**
 * What the linter has found, for every page that shows it.
 */

import { h, prose } from './dom.js';
import { number, sentence } from './format.js';
import { pill } from './services.js';

const KIND_WORDS = {
  unreadable: 'Not readable',
  exclusive_overlap: 'Overlap of exclusive namespaces',
  missing_sigil: 'No sigil',
  missing_domain: 'No domain',
  swallows_users: 'Swallows users',
  sender_outside: 'Sender outside its namespaces',
  look_around: 'Look-around',
  plain_http: 'Plain HTTP',
  no_url: 'No url',
  other: 'Other',
};
const SEVERITY_WORDS = { error: 'Error', warning: 'Warning', note: 'Note' };
const SHOWN_WITNESSES = 10;

/** A list of findings; `none` is said where there are none. */
export function findingList(findings, none, link = true) {
  if (findings.length === 0) return h('p', { class: 'calm' }, none);
  return h('ul', { class: 'findings' }, findings.map((finding) => item(finding, link)));
}

function item(finding, link) {
  const services = [finding.service_id, finding.other_id].filter((id) => id !== undefined);
  return h(
    'li',
    { class: 'finding' },
    h(
      'div',
      { class: 'finding-head' },
      pill(finding.severity, SEVERITY_WORDS[finding.severity] ?? finding.severity),
      h('strong', {}, KIND_WORDS[finding.kind] ?? finding.kind),
      services.map((id) => (link ? serviceLink(id) : h('span', { class: 'mono' }, id))),
    ),
    h('p', {}, prose(sentence(finding.message))),
    finding.pattern !== undefined && h('p', {}, 'Pattern ', h('code', {}, finding.pattern)),
    witnesses(finding),
    h('p', { class: 'cure' }, h('span', { class: 'cure-label' }, 'Cure: '), prose(sentence(finding.cure))),
  );
}

/** A link to a service's page. */
export function serviceLink(id) {
  return h('a', { class: 'mono', href: `#/services/${encodeURIComponent(id)}` }, id);
}

function witnesses(finding) {
  const all = finding.witnesses ?? [];
  if (all.length === 0) return undefined;
  const shown = all.slice(0, SHOWN_WITNESSES).flatMap((id, at) => [at > 0 && ', ', h('code', {}, id)]);
  const total = Math.max(finding.count ?? 0, all.length);
  const more = total > SHOWN_WITNESSES || total > all.length ? ` (${number(total)} in all)` : '';
  return h('p', {}, 'For example ', shown, more);
}
