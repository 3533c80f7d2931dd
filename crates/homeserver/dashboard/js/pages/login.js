/**
 * Signing in with an operator's token.
 */

import * as api from '../api.js';
import { ApiError } from '../api.js';
import { problemWords, waitSeconds } from '../dialog.js';
import { h, replace } from '../dom.js';

/** The page; `signedIn` gets the session. `why` says why somebody has to sign in again. */
export function login({ signedIn, why }) {
  const input = h('input', {
    id: 'token',
    type: 'password',
    name: 'token',
    autocomplete: 'current-password',
    spellcheck: 'false',
    autocapitalize: 'none',
    required: true,
    'aria-describedby': 'token-help',
  });
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const button = h('button', { type: 'submit', class: 'button primary wide' }, 'Sign in');
  const complain = (words) => {
    problem.textContent = words;
    problem.hidden = false;
  };
  const submit = async (submitted) => {
    submitted.preventDefault();
    const token = input.value.trim();
    if (token === '') return complain('Paste a token first.');
    button.disabled = true;
    problem.hidden = true;
    try {
      signedIn(await api.signIn(token));
    } catch (error) {
      complain(words(error));
      if (error instanceof ApiError && error.status === 429) holdBack(button, waitSeconds(error));
      input.select();
      input.focus();
    } finally {
      if (!button.dataset.held) button.disabled = false;
    }
    return undefined;
  };
  const node = h(
    'div',
    { class: 'login' },
    h('p', { class: 'brand' }, h('img', { class: 'mark', src: 'favicon.svg', alt: '', width: 24, height: 24 }), 'Bridgehead'),
    h('h1', { tabindex: -1 }, 'Sign in'),
    why && h('p', { class: 'notice' }, why),
    h(
      'form',
      { class: 'card', onsubmit: submit },
      // Password managers keep a password under a name.
      h('input', { type: 'text', name: 'username', value: 'operator', autocomplete: 'username', hidden: true }),
      h('label', { for: 'token' }, 'Operator token'),
      input,
      problem,
      button,
      help(),
    ),
  );
  return { title: 'Sign in', node, focus: input };
}

function help() {
  return h(
    'div',
    { class: 'hint', id: 'token-help' },
    h('p', {}, 'Where to find one:'),
    h(
      'ul',
      {},
      h('li', {}, 'The server’s first start wrote one to the file ', h('code', {}, 'operator.token'), ' in its data folder.'),
      h('li', {}, 'Or make one on the server: ', h('code', {}, 'bridgehead operator add NAME'), '.'),
    ),
  );
}

function words(error) {
  if (!(error instanceof ApiError)) return problemWords(error);
  if (error.status === 429) return `Too many attempts. Wait ${waitSeconds(error)} s and try again.`;
  if ([401, 403].includes(error.status)) return 'No operator has this token. Check that it is pasted whole.';
  return error.message;
}

/** Leaves the button alone for as long as the server wants. */
function holdBack(button, seconds) {
  button.dataset.held = 'yes';
  button.disabled = true;
  const say = (left) => {
    replace(button, left > 0 ? `Sign in (in ${left} s)` : 'Sign in');
    if (left > 0) return setTimeout(say, 1000, left - 1);
    delete button.dataset.held;
    button.disabled = false;
    return undefined;
  };
  say(seconds);
}
