/**
 * Builds elements without markup in strings: whatever comes from the server is inserted as text,
 * so it can never become an element, a script or a style.
 */

const SVG_NAMESPACE = 'http://www.w3.org/2000/svg';

/** An HTML element. Attributes that are `undefined`, `null` or `false` are left out; `onclick` and
 * the like are listeners. Children are nodes or text; empty ones are left out. */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, made like {@link h}. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG_NAMESPACE, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name.replace(/^on/, ''), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== undefined && child !== null && child !== false && child !== '');
}

/** Replaces all that is in a node. */
export function replace(node, ...children) {
  node.replaceChildren(...present(children));
}

/** A text in which `code` stands between backticks, as nodes. */
export function prose(text) {
  const parts = text.split('`');
  // An odd backtick is none.
  if (parts.length % 2 === 0) return [text];
  return parts.map((part, at) => (at % 2 === 1 ? h('code', {}, part) : part));
}

/** Sets a node's text, leaving it alone if it is the same: a screen reader or a selection is not
 * disturbed by a refresh that changes nothing. */
export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** Sets or removes an attribute. */
export function setAttribute(node, name, value) {
  if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** A part of a page that is drawn again only when what it shows has changed, so that focus,
 * selection and opened details outlive a refresh. */
export class Part {
  #node;
  #draw;
  #shown;

  /** `draw` gives what is to be in `node` for a value. */
  constructor(node, draw) {
    this.#node = node;
    this.#draw = draw;
  }

  /** Shows a value, which has to be JSON. */
  show(value) {
    const now = JSON.stringify(value) ?? '';
    if (now === this.#shown) return;
    this.#shown = now;
    replace(this.#node, this.#draw(value));
  }

  /** Says why there is nothing to show. */
  fail(words) {
    this.#shown = undefined;
    replace(this.#node, h('p', { class: 'problem' }, words));
  }
}

let lastId = 0;

/** An id that no other element of the page has, for labels and descriptions. */
export function freshId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}
