/**
 * Questions before something is done: what will happen, what else there is to say, and the two
 * buttons. Made of `<dialog>`, which keeps the focus inside, gives it back and closes on Escape.
 */

import { ApiError, Unreachable } from './api.js';
import { freshId, h, replace } from './dom.js';

/** Something that was filled in cannot be used. */
export class InputError extends Error {}

/** What went wrong, for people. */
export function problemWords(error) {
  if (error instanceof ApiError && error.status === 429) {
    return `Too many requests. Try again in ${waitSeconds(error)} s.`;
  }
  if (error instanceof ApiError && error.status === 409) {
    return `${error.message} (Somebody was faster, or the state has changed since you looked.)`;
  }
  if (error instanceof ApiError || error instanceof InputError) return error.message;
  if (error instanceof Unreachable) {
    return 'The server does not answer. Whether it has done this is unknown: look before you try again.';
  }
  return `The dashboard failed: ${error.message}`;
}

/** For how long the server wants to be left alone. */
export function waitSeconds(error) {
  return Math.max(1, Math.ceil((error.retryAfterMs || 1000) / 1000));
}

/** The field for the audit log that every verb has. */
export const REASON = {
  name: 'reason',
  label: 'Reason (optional)',
  hint: 'Stands in the audit log.',
  maxlength: 500,
};

/**
 * Asks, and does it when the answer is yes.
 *
 * - `title`: the question;
 * - `says`: what will happen, as sentences or nodes;
 * - `fields`: what can be filled in: `{ name, label, hint, type, value, options, required, … }`;
 * - `confirm`: the button's words; `danger`: that it should look dangerous;
 * - `act(values)`: does it; if it throws, the dialog stays and says why.
 *
 * Gives what `act` gave, or `undefined` if nothing was done.
 */
export function ask({ title, says, fields = [], confirm, danger = false, act }) {
  return new Promise((resolve) => {
    let result;
    const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
    const inputs = fields.map(field);
    const doIt = h('button', { type: 'submit', class: danger ? 'button danger' : 'button primary' }, confirm);
    const dialog = shell(title, says, inputs, problem, doIt);
    const form = dialog.querySelector('form');
    form.addEventListener('submit', async (submitted) => {
      submitted.preventDefault();
      if (doIt.disabled) return;
      busy(doIt, true, confirm);
      problem.hidden = true;
      try {
        result = { given: await act(valuesOf(inputs)) };
        dialog.close();
      } catch (error) {
        problem.textContent = problemWords(error);
        problem.hidden = false;
        if (!(error instanceof ApiError || error instanceof Unreachable || error instanceof InputError)) {
          console.error(error);
        }
      } finally {
        busy(doIt, false, confirm);
      }
    });
    const adapt = () => showWhatMatters(fields, inputs);
    form.addEventListener('change', adapt);
    adapt();
    open(dialog, () => resolve(result?.given));
  });
}

/** Hides fields that depend on another one's value, `onlyWhen: [name, value]`. */
function showWhatMatters(fields, inputs) {
  fields.forEach(({ onlyWhen }, at) => {
    if (!onlyWhen) return;
    const [name, value] = onlyWhen;
    const isNot = inputs.find((input) => input.name === name).read() !== value;
    inputs[at].node.hidden = isNot;
    // What is in a field that nobody sees must not keep the form from being sent.
    inputs[at].input.disabled = isNot;
  });
}

function busy(button, is, words) {
  button.disabled = is;
  replace(button, is ? 'Working…' : words);
}

function shell(title, says, inputs, problem, doIt) {
  const titleId = freshId('dialog-title');
  const saysId = freshId('dialog-says');
  const dialog = h('dialog', { 'aria-labelledby': titleId, 'aria-describedby': saysId });
  const cancel = h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel');
  dialog.append(
    h(
      'form',
      {},
      h('h2', { id: titleId }, title),
      h('ul', { class: 'says', id: saysId }, says.filter(Boolean).map((one) => h('li', {}, one))),
      inputs.map((input) => input.node),
      problem,
      h('div', { class: 'dialog-buttons' }, cancel, doIt),
    ),
  );
  return dialog;
}

/** Shows a dialog, and takes it out of the page when it has been closed. */
function open(dialog, whenClosed) {
  dialog.addEventListener('close', () => {
    dialog.remove();
    whenClosed();
  });
  // A click beside the dialog's box lands on the dialog itself.
  dialog.addEventListener('pointerdown', (pressed) => {
    if (pressed.target === dialog && outside(dialog, pressed)) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function outside(dialog, { clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}

/** A dialog that only tells; `body` is nodes. */
export function show({ title, body, close = 'Close' }) {
  return new Promise((resolve) => {
    const titleId = freshId('dialog-title');
    const dialog = h('dialog', { 'aria-labelledby': titleId });
    const button = h('button', { type: 'button', class: 'button primary', onclick: () => dialog.close() }, close);
    dialog.append(h('h2', { id: titleId }, title), ...body, h('div', { class: 'dialog-buttons' }, button));
    open(dialog, resolve);
  });
}

/** A secret that is shown once, with a button that copies it where the browser allows that. */
export function secret(label, value) {
  const id = freshId('secret');
  const input = h('input', { id, class: 'mono', readonly: true, value, autocomplete: 'off', spellcheck: 'false' });
  input.addEventListener('focus', () => input.select());
  const done = h('span', { role: 'status', class: 'hint' });
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    done.textContent = 'Copied';
  };
  // Only there over HTTPS or on this very machine.
  const button = navigator.clipboard && h('button', { type: 'button', class: 'button', onclick: copy }, 'Copy');
  return h('div', { class: 'field' }, h('label', { for: id }, label), h('div', { class: 'with-button' }, input, button), done);
}

function valuesOf(inputs) {
  const entries = inputs.map(({ name, read }) => [name, read()]);
  return Object.fromEntries(entries);
}

/** An input with its label and hint. */
export function field({ name, label, hint, type = 'text', value, options, onlyWhen, ...rest }) {
  if (type === 'radio') return radios({ name, label, value, options });
  const id = freshId('field');
  const hintId = hint && `${id}-hint`;
  const shared = { id, name, 'aria-describedby': hintId, ...rest };
  let input;
  if (options) {
    input = h('select', shared, options.map((one) => option(one, value)));
  } else if (type === 'checkbox') {
    input = h('input', { ...shared, type, checked: value === true });
    const node = h('div', { class: 'field check' }, input, h('label', { for: id }, label), hintOf(hint, hintId));
    return { name, node, input, read: () => input.checked };
  } else {
    input = h('input', { ...shared, type, value, autocomplete: 'off' });
  }
  const node = h('div', { class: 'field' }, h('label', { for: id }, label), input, hintOf(hint, hintId));
  return { name, node, input, read: () => (input.value.trim() === '' ? undefined : input.value.trim()) };
}

function hintOf(hint, id) {
  return hint && h('p', { class: 'hint', id }, hint);
}

function option([value, words], chosen) {
  return h('option', { value, selected: value === chosen }, words);
}

function radios({ name, label, value, options }) {
  const group = freshId('radio');
  const buttons = options.map(([one, words]) => {
    const input = h('input', { type: 'radio', name: group, value: one, checked: one === value });
    return { input, node: h('label', { class: 'radio' }, input, h('span', {}, words)) };
  });
  const node = h('fieldset', { class: 'field' }, h('legend', {}, label), buttons.map((button) => button.node));
  return { name, node, read: () => buttons.find((button) => button.input.checked)?.input.value };
}
