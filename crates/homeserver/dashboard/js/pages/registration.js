/**
 * Adding a service, and changing one that came by the API: the text, what the linter says about
 * it, and only then the deed.
 */

import * as api from '../api.js';
import { problemWords } from '../dialog.js';
import { h, replace } from '../dom.js';
import { findingList } from '../findings.js';
import { number } from '../format.js';
import { tell } from '../toast.js';

const EXAMPLE = `id: irc
url: http://127.0.0.1:9000
as_token: (a long random text)
hs_token: (another one)
sender_localpart: ircbot
namespaces:
  users:
    - exclusive: true
      regex: "@irc_.*:example\\\\.org"
`;

/** The page that adds. */
export function addPage({ mayAct, go }) {
  const node = form({
    mayAct,
    title: 'Add a service',
    says: 'Paste its registration, the YAML file that most bridges write themselves. It takes effect at once, without a restart.',
    yaml: '',
    confirm: 'Add the service',
    send: (yaml, dry_run, reason) => api.post('appservices', { yaml, dry_run, reason }),
    done: (registered) => {
      tell(`${registered.id} is added (revision ${number(registered.revision)}).`);
      go(`#/services/${encodeURIComponent(registered.id)}`);
    },
  });
  return { title: 'Add a service', node, stop: () => {} };
}

/** The page that changes the registration of the service with this id. */
export function changePage({ mayAct, go }, id) {
  const node = h('div', {}, h('p', { class: 'calm' }, 'Loading…'));
  const where = api.path('appservices', id, 'registration');
  const back = `#/services/${encodeURIComponent(id)}`;
  const load = async () => {
    try {
      const text = await api.get(where);
      replace(
        node,
        form({
          mayAct,
          title: `Change ${id}`,
          says: `Based on revision ${number(text.revision)}; if somebody changes it meanwhile, this change is refused. A token that reads *** stays as it is.`,
          yaml: text.yaml,
          confirm: 'Change the registration',
          send: (yaml, dry_run, reason) => api.put(where, { yaml, revision: text.revision, dry_run, reason }),
          done: (registered) => {
            tell(`${id} is changed (revision ${number(registered.revision)}).`);
            go(back);
          },
        }),
      );
    } catch (error) {
      replace(node, h('h1', { tabindex: -1 }, `Change ${id}`), h('p', { class: 'problem', role: 'alert' }, problemWords(error)));
    }
  };
  load();
  return { title: `Change ${id}`, node, stop: () => {} };
}

function form({ mayAct, title, says, yaml, confirm, send, done }) {
  if (!mayAct) {
    return h('div', {}, h('h1', { tabindex: -1 }, title), h('p', { class: 'notice' }, 'Your role lets you look, not change.'));
  }
  const text = h('textarea', {
    id: 'yaml', rows: 18, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'none', required: true, placeholder: EXAMPLE, class: 'mono',
  }, yaml);
  const reason = h('input', { id: 'reason', autocomplete: 'off', maxlength: 500 });
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const preview = h('div', { id: 'preview', 'aria-live': 'polite' });
  const check = h('button', { type: 'submit', class: 'button primary' }, 'Check it');
  const act = h('button', { type: 'button', class: 'button primary', hidden: true }, confirm);
  const buttons = [check, act];
  let checked;

  const run = async (dryRun) => {
    const what = text.value;
    problem.hidden = true;
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await send(what, dryRun, reason.value.trim() || undefined);
      if (!dryRun) return done(answer);
      checked = what;
      act.hidden = false;
      check.classList.remove('primary');
      replace(preview, h('h2', {}, 'What the linter says'), findingList(answer.findings, `Nothing to object to. ${answer.id} can be taken up.`));
      act.focus();
    } catch (error) {
      problem.textContent = problemWords(error);
      problem.hidden = false;
      replace(preview, error.findings && findingList(error.findings, ''));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
    return undefined;
  };
  act.addEventListener('click', () => run(false));
  // What was checked is what is taken up: another text has to be checked again.
  text.addEventListener('input', () => {
    if (text.value === checked) return;
    act.hidden = true;
    check.classList.add('primary');
    replace(preview);
  });
  return h(
    'div',
    {},
    h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Services'), ` / ${title}`),
    h('h1', { tabindex: -1 }, title),
    h('p', { class: 'lead' }, says),
    h(
      'form',
      { class: 'card', onsubmit: (submitted) => { submitted.preventDefault(); run(true); } },
      h('div', { class: 'field' }, h('label', { for: 'yaml' }, 'Registration (YAML)'), text),
      h('div', { class: 'field' }, h('label', { for: 'reason' }, 'Reason (optional)'), reason, h('p', { class: 'hint' }, 'Stands in the audit log.')),
      problem,
      preview,
      h('div', { class: 'dialog-buttons' }, check, act),
    ),
  );
}
