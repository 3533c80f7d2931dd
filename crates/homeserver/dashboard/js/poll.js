/**
 * Looks again and again while somebody is looking, and less often while the server is away, which
 * it says in a banner.
 */

import { ApiError, Unreachable } from './api.js';
import { h, replace } from './dom.js';

const LONGEST_WAIT_MS = 30_000;

/** Everything that is being looked at. */
const polls = new Set();

/** Runs `task` now and then every `everyMs`, until `stop` is called; `now` runs it at once. */
export class Poll {
  #task;
  #everyMs;
  #refused;
  #waitMs;
  #timer;
  #running = false;
  #again = false;
  #stopped = false;

  /** `refused` is told when the server answers with an error. */
  constructor(task, everyMs, refused = () => {}) {
    this.#task = task;
    this.#refused = refused;
    this.#everyMs = everyMs;
    this.#waitMs = everyMs;
    polls.add(this);
    this.now();
  }

  /** Runs the task at once; if it is running, once more after that. */
  async now() {
    if (this.#stopped) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#running = true;
    await this.#run();
    this.#running = false;
    if (this.#stopped) return;
    const waitMs = this.#again ? 0 : this.#waitMs;
    this.#again = false;
    // While nobody looks, the page's becoming visible is what starts it again.
    if (!document.hidden) this.#timer = setTimeout(() => this.now(), waitMs);
  }

  async #run() {
    try {
      await this.#task();
      this.#waitMs = this.#everyMs;
      if (!this.#stopped) found();
    } catch (error) {
      this.#waitMs = Math.min(LONGEST_WAIT_MS, Math.max(this.#waitMs, 1000) * 2);
      if (this.#stopped) return;
      if (error instanceof Unreachable) lost(this.#waitMs);
      else if (error instanceof ApiError) this.#refused(error);
      // A mistake of this page; what it shows next may be right again.
      else console.error(error);
    }
  }

  /** Ends it. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    polls.delete(this);
  }
}

function banner() {
  return document.getElementById('banner');
}

function lost(retryInMs) {
  const node = banner();
  if (node.hidden) {
    const button = h('button', { type: 'button', class: 'button', onclick: retryAll }, 'Try now');
    replace(
      node,
      h('strong', {}, 'Connection lost.'),
      ' The server does not answer; what you see may be out of date. ',
      h('span', { class: 'banner-wait' }),
      button,
    );
    node.hidden = false;
  }
  const wait = `Trying again every ${Math.round(retryInMs / 1000)} s. `;
  node.querySelector('.banner-wait').textContent = wait;
}

function found() {
  const node = banner();
  if (node.hidden) return;
  node.hidden = true;
  replace(node);
}

/** Looks at everything at once. */
export function retryAll() {
  for (const poll of polls) poll.now();
}

/** Takes the banner away: what was not reached is no longer of interest. */
export function forget() {
  found();
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) retryAll();
});
