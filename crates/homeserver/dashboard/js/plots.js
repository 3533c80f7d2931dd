/**
 * The two plots of a service's page, over the last hour or the last day.
 */

import * as api from './api.js';
import { now } from './clock.js';
import { h } from './dom.js';
import { duration, shortDuration, shortNumber } from './format.js';
import { Plot } from './plot.js';
import { Poll } from './poll.js';

const EVERY_MS = 15_000;
const SPANS = {
  hour: { words: 'Last hour', ms: 3_600_000 },
  day: { words: 'Last day', ms: 86_400_000 },
};

/** The plots with the choice of the span, looking for new samples by themselves. */
export class Plots {
  #id;
  #span = 'hour';
  #history = { step_ms: 30_000, samples: [] };
  #live;
  #poll;
  #lag = new Plot({
    title: 'Lag',
    unit: 'for how long the oldest entry has been waiting',
    series: [{ name: 'lag', key: 'lag_ms', className: 's-lag', filled: true }],
    isDuration: true,
    axis: shortDuration,
    exact: duration,
  });
  #throughput = new Plot({
    title: 'Throughput',
    unit: 'per minute',
    series: [
      { name: 'delivered', key: 'delivered', className: 's-delivered', filled: true },
      { name: 'failed attempts', key: 'failed', className: 's-failed' },
    ],
    isDuration: false,
    axis: shortNumber,
    exact: (value) => `${new Intl.NumberFormat('en', { maximumFractionDigits: 1 }).format(value)}/min`,
  });

  constructor(id) {
    this.#id = id;
    const choices = Object.entries(SPANS).map(([span, { words }]) => {
      const input = h('input', {
        type: 'radio', name: 'span', value: span, checked: span === this.#span, onchange: () => this.#choose(span),
      });
      return h('label', {}, input, h('span', {}, words));
    });
    this.node = h(
      'section',
      { class: 'card', id: 'plots', 'aria-labelledby': 'plots-title' },
      h(
        'div',
        { class: 'section-head' },
        h('h2', { id: 'plots-title' }, 'Over time'),
        h('fieldset', { class: 'segments' }, h('legend', { class: 'unseen' }, 'Span'), choices),
      ),
      h('div', { class: 'plots' }, this.#lag.node, this.#throughput.node),
    );
    this.#poll = new Poll(() => this.#look(), EVERY_MS);
  }

  #choose(span) {
    this.#span = span;
    this.#poll.now();
  }

  async #look() {
    const span = this.#span;
    const history = await api.get(api.path('appservices', this.#id, 'history'), { span });
    // Somebody may have chosen the other one meanwhile, which will be looked at next.
    if (span !== this.#span) return;
    this.#history = history;
    this.#draw();
  }

  /** Takes up the service as it is now: the lag's plot ends with the present. */
  live(service) {
    this.#live = { at_ms: now(), lag_ms: service.oldest_waiting_ms ?? 0 };
    this.#draw();
  }

  #draw() {
    const toMs = now();
    const fromMs = toMs - SPANS[this.#span].ms;
    const inSpan = this.#history.samples.filter((sample) => sample.at_ms >= fromMs);
    const last = inSpan[inSpan.length - 1];
    const isNewer = this.#live && (!last || this.#live.at_ms > last.at_ms);
    this.#lag.show({ samples: isNewer ? [...inSpan, this.#live] : inSpan, fromMs, toMs });
    const steps = 60_000 / this.#history.step_ms;
    const perMinute = inSpan.map((sample) => ({
      at_ms: sample.at_ms,
      delivered: sample.delivered * steps,
      failed: sample.failed * steps,
    }));
    this.#throughput.show({ samples: perMinute, fromMs, toMs });
  }

  /** Ends it. */
  stop() {
    this.#poll.stop();
  }
}

