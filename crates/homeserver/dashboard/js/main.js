/**
 * The beginning: who is there, and which page the address names.
 */

import * as api from './api.js';
import { tick } from './clock.js';
import { problemWords } from './dialog.js';
import { h, replace, setText } from './dom.js';
import { auditPage } from './pages/audit.js';
import { eventsPage } from './pages/events.js';
import { lintPage } from './pages/lint.js';
import { login } from './pages/login.js';
import { operatorsPage } from './pages/operators.js';
import { overview } from './pages/overview.js';
import { addPage, changePage } from './pages/registration.js';
import { servicePage } from './pages/service.js';
import { forget } from './poll.js';
import { complain } from './toast.js';

/** Addresses and their pages; what is in parentheses is given to the page. */
const ROUTES = [
  [/^#?\/?$/, overview],
  [/^#\/services\/([^/]+)$/, servicePage],
  [/^#\/services\/([^/]+)\/registration$/, changePage],
  [/^#\/add$/, addPage],
  [/^#\/lint$/, lintPage],
  [/^#\/audit$/, auditPage],
  [/^#\/operators$/, operatorsPage],
  [/^#\/events$/, eventsPage],
];

const element = (id) => document.getElementById(id);

let session;
let page = { stop: () => {} };

function signedIn(answer) {
  session = answer;
  const role = answer.role === 'act' ? 'may act' : 'may look';
  setText(element('who'), `${answer.name} (${role})`);
  element('bar').hidden = false;
  route();
}

function signedOut(why) {
  session = undefined;
  element('bar').hidden = true;
  forget();
  open(login({ signedIn, why }));
}

/** Shows the page that the address names. */
function route() {
  if (!session) return;
  const context = { session, mayAct: session.role === 'act', go, showServer };
  for (const [pattern, make] of ROUTES) {
    const found = pattern.exec(location.hash);
    if (!found) continue;
    const parts = found.slice(1).map(decoded);
    if (parts.includes(undefined)) break;
    open(make(context, ...parts));
    return;
  }
  open({ title: 'Not found', node: h('div', {}, h('h1', { tabindex: -1 }, 'No such page'), h('p', {}, h('a', { href: '#/' }, 'To the services'))) });
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function open(next) {
  page.stop?.();
  page = next;
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  replace(element('main'), next.node);
  document.title = `${next.title} – Bridgehead`;
  markNav();
  window.scrollTo(0, 0);
  const target = next.focus ?? next.node.querySelector('h1');
  target?.focus({ preventScroll: true });
}

function markNav() {
  const here = location.hash === '' ? '#/' : location.hash;
  for (const link of element('nav').children) {
    const href = link.getAttribute('href');
    const isHere = href === '#/' ? here === '#/' || here.startsWith('#/services/') || here === '#/add' : here === href;
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function go(hash) {
  location.hash = hash;
}

function showServer({ server_name, version }) {
  const node = element('server');
  setText(node, server_name);
  node.title = `Bridgehead ${version}`;
}

async function endSession() {
  try {
    await api.signOut();
    signedOut('You have signed out.');
  } catch (error) {
    complain(problemWords(error));
  }
}

/** Finds out who is there, for as long as the server does not answer. */
async function begin() {
  try {
    const known = await api.session();
    if (known) signedIn(known);
    else signedOut();
  } catch (error) {
    replace(
      element('main'),
      h('div', { class: 'login' }, h('h1', {}, 'Bridgehead'), h('p', { class: 'problem', role: 'alert' }, problemWords(error)), h('button', { type: 'button', class: 'button primary', onclick: begin }, 'Try again')),
    );
  }
}

api.onSignedOut(() => {
  if (session) signedOut('Your session has ended. Sign in again.');
});
window.addEventListener('hashchange', route);
element('sign-out').addEventListener('click', endSession);
// The address names the page, so a link to a place within it has to be followed by hand.
element('skip-link').addEventListener('click', (clicked) => {
  clicked.preventDefault();
  element('main').focus();
});
setInterval(() => {
  if (!document.hidden) tick();
}, 1000);
begin();
