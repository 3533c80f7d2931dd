/**
 * Plots: a small one for a table, and a large one with axes that can be read with the pointer, with
 * the arrow keys, and as a table.
 */

import { freshId, h, replace, setText, svg } from './dom.js';
import { dateTime, timeOfDay } from './format.js';

/** Steps between ticks that people count in, for values that are durations. */
const DURATION_STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
  600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000,
];
/** Steps between ticks on the axis of time. */
const TIME_STEPS = [300_000, 600_000, 900_000, 1_200_000, 3_600_000, 7_200_000, 10_800_000, 14_400_000, 21_600_000];

/** Ticks from 0 to at least `highest`, about `wanted` of them. */
export function valueTicks(highest, wanted, isDuration) {
  const top = Math.max(highest, isDuration ? 1000 : 4);
  const step = isDuration ? durationStep(top / wanted) : countStep(top / wanted);
  const ticks = [];
  for (let at = 0; at < top + step; at += step) ticks.push(at);
  return ticks;
}

function durationStep(least) {
  const step = DURATION_STEPS.find((one) => one >= least);
  return step ?? Math.ceil(least / 86_400_000) * 86_400_000;
}

function countStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].find((one) => one * power >= least) * power;
  return Math.max(1, step);
}

/** Whole hours and minutes, in the browser's time zone, between two times. */
export function timeTicks(fromMs, toMs, wanted) {
  const least = (toMs - fromMs) / wanted;
  const step = TIME_STEPS.find((one) => one >= least) ?? 43_200_000;
  const zoneMs = new Date(toMs).getTimezoneOffset() * 60_000;
  const first = Math.ceil((fromMs - zoneMs) / step) * step + zoneMs;
  const ticks = [];
  for (let at = first; at <= toMs; at += step) ticks.push(at);
  return ticks;
}

/** An SVG path through points, and the one of the area below it. */
export function linePath(points) {
  return points.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join('');
}

function areaPath(points, bottom) {
  if (points.length === 0) return '';
  const [first, last] = [points[0], points[points.length - 1]];
  return `${linePath(points)}L${round(last[0])} ${bottom}L${round(first[0])} ${bottom}Z`;
}

const round = (value) => Math.round(value * 10) / 10;

const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 28;

/** A line without axes through `[time, value]` pairs between two times; `words` say what it shows. */
export function sparkline(pairs, fromMs, toMs, words) {
  const highest = Math.max(1000, ...pairs.map(([, value]) => value));
  const x = (at) => (SPARK_WIDTH * Math.max(0, at - fromMs)) / (toMs - fromMs);
  const y = (value) => SPARK_HEIGHT - 2 - ((SPARK_HEIGHT - 4) * value) / highest;
  const points = pairs.map(([at, value]) => [x(at), y(value)]);
  return svg(
    'svg',
    { class: 'spark', viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, role: 'img', 'aria-label': words, preserveAspectRatio: 'none' },
    svg('path', { class: 'spark-area', d: areaPath(points, SPARK_HEIGHT) }),
    svg('path', { class: 'spark-line', d: linePath(points) }),
  );
}

const HEIGHT = 200;
const EDGE = { top: 12, right: 12, bottom: 24, left: 56 };

/**
 * A plot over time.
 *
 * `title`; `unit`, the words of the axis; `series`: `{ name, key, className }`; `isDuration`;
 * `axis` and `exact`: a value in few and in all words.
 */
export class Plot {
  #options;
  #svg;
  #readout;
  #tableBody;
  #details;
  #data = { samples: [], fromMs: 0, toMs: 1 };
  #cursor;
  #focused;

  constructor(options) {
    this.#options = options;
    this.node = this.#build();
    new ResizeObserver(() => this.#draw()).observe(this.#svg);
  }

  #build() {
    const { title, unit, series } = this.#options;
    const titleId = freshId('plot');
    const helpId = freshId('plot-help');
    this.#readout = h('p', { class: 'readout', 'aria-live': 'polite' });
    this.#svg = svg('svg', { class: 'plot-svg', height: HEIGHT, 'aria-hidden': 'true', focusable: 'false' });
    const frame = h(
      'div',
      { class: 'plot-frame', tabindex: 0, role: 'group', 'aria-labelledby': titleId, 'aria-describedby': helpId },
      this.#svg,
    );
    frame.addEventListener('pointermove', (moved) => this.#pointAt(moved));
    frame.addEventListener('pointerleave', () => this.#point(this.#focused));
    frame.addEventListener('keydown', (pressed) => this.#walk(pressed));
    frame.addEventListener('blur', () => this.#focusOn(undefined));
    this.#tableBody = h('div', { class: 'plot-table' });
    this.#details = h('details', {}, h('summary', {}, 'As a table'), this.#tableBody);
    this.#details.addEventListener('toggle', () => this.#tabulate());
    const legend = series.map((one) => h('li', { class: one.className }, swatch(), one.name));
    return h(
      'figure',
      { class: 'plot' },
      h('figcaption', {}, h('h3', { id: titleId }, title), h('span', { class: 'hint' }, unit)),
      h('ul', { class: 'legend' }, legend),
      frame,
      h('p', { class: 'unseen', id: helpId }, 'Arrow keys read single samples. The same follows as a table.'),
      this.#readout,
      this.#details,
    );
  }

  /** Shows samples between two times. */
  show(data) {
    this.#data = data;
    this.#draw();
    this.#tabulate();
  }

  #draw() {
    const width = Math.max(240, this.#svg.clientWidth || 600);
    const { samples, fromMs, toMs } = this.#data;
    const highest = Math.max(0, ...this.#options.series.flatMap((one) => samples.map((sample) => sample[one.key])));
    const ticks = valueTicks(highest, 4, this.#options.isDuration);
    const top = ticks[ticks.length - 1];
    const bottom = HEIGHT - EDGE.bottom;
    const x = (at) => EDGE.left + ((width - EDGE.left - EDGE.right) * (at - fromMs)) / Math.max(1, toMs - fromMs);
    const y = (value) => bottom - ((bottom - EDGE.top) * value) / top;
    const lines = this.#options.series.map((one) => this.#line(one, x, y, bottom));
    this.#svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.#cursor = { x, y, bottom };
    const empty = samples.length === 0 && text('plot-empty', width / 2, HEIGHT / 2, 'No samples yet', 'middle');
    replace(this.#svg, this.#grid(ticks, width, x, y, bottom), lines, svg('g', { class: 'plot-cursor' }), empty);
    this.#point(this.#focused);
  }

  #grid(ticks, width, x, y, bottom) {
    const across = ticks.map((tick) => [
      svg('line', { class: 'grid', x1: EDGE.left, x2: width - EDGE.right, y1: y(tick), y2: y(tick) }),
      text('tick', EDGE.left - 8, y(tick) + 4, this.#options.axis(tick), 'end'),
    ]);
    const { fromMs, toMs } = this.#data;
    const along = timeTicks(fromMs, toMs, Math.max(2, Math.min(8, width / 80))).map((at) => [
      svg('line', { class: 'tickmark', x1: x(at), x2: x(at), y1: bottom, y2: bottom + 4 }),
      // At the very edge a label would be cut.
      x(at) > EDGE.left + 8 && x(at) < width - 24 && text('tick', x(at), bottom + 18, timeOfDay(at, false), 'middle'),
    ]);
    return svg('g', {}, across, along.flat().filter(Boolean));
  }

  #line(one, x, y, bottom) {
    const points = this.#data.samples.map((sample) => [x(sample.at_ms), y(sample[one.key])]);
    return svg(
      'g',
      { class: one.className },
      one.filled && svg('path', { class: 'area', d: areaPath(points, bottom) }),
      svg('path', { class: 'line', d: linePath(points) }),
      points.length === 1 && svg('circle', { class: 'dot', cx: points[0][0], cy: points[0][1], r: 2.5 }),
    );
  }

  #pointAt(moved) {
    const { samples } = this.#data;
    if (samples.length === 0 || !this.#cursor) return;
    const at = moved.clientX - this.#svg.getBoundingClientRect().left;
    const away = samples.map((sample) => Math.abs(this.#cursor.x(sample.at_ms) - at));
    this.#point(away.indexOf(Math.min(...away)));
  }

  #walk(pressed) {
    const last = this.#data.samples.length - 1;
    if (last < 0) return;
    const from = this.#focused ?? last + 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, PageUp: from - 10, PageDown: from + 10 };
    if (pressed.key === 'Escape') this.#focusOn(undefined);
    if (!(pressed.key in to)) return;
    pressed.preventDefault();
    this.#focusOn(Math.min(last, Math.max(0, to[pressed.key])));
  }

  #focusOn(at) {
    this.#focused = at;
    this.#point(at);
  }

  /** Marks a sample and reads it out; none without `at`. */
  #point(at) {
    const mark = this.#svg.querySelector('.plot-cursor');
    const sample = at === undefined ? undefined : this.#data.samples[at];
    if (!mark) return;
    if (!sample) {
      replace(mark);
      setText(this.#readout, this.#latest());
      return;
    }
    const { x, y, bottom } = this.#cursor;
    const across = x(sample.at_ms);
    replace(
      mark,
      svg('line', { x1: across, x2: across, y1: EDGE.top, y2: bottom }),
      this.#options.series.map((one) =>
        svg('circle', { class: one.className, cx: across, cy: y(sample[one.key]), r: 4 }),
      ),
    );
    setText(this.#readout, `${timeOfDay(sample.at_ms)}: ${this.#words(sample)}`);
  }

  #latest() {
    const sample = this.#data.samples[this.#data.samples.length - 1];
    return sample ? `Latest: ${this.#words(sample)}` : 'History begins with the server’s start.';
  }

  #words(sample) {
    return this.#options.series.map((one) => `${one.name} ${this.#options.exact(sample[one.key])}`).join(', ');
  }

  #tabulate() {
    if (!this.#details.open) return;
    const { series, exact } = this.#options;
    const rows = this.#data.samples.map((sample) =>
      h('tr', {}, h('th', { scope: 'row' }, dateTime(sample.at_ms)), series.map((one) => h('td', {}, exact(sample[one.key])))),
    );
    const headings = ['Time', ...series.map((one) => one.name)].map((name) => h('th', { scope: 'col' }, name));
    replace(
      this.#tableBody,
      h('table', { class: 'small' }, h('thead', {}, h('tr', {}, headings)), h('tbody', {}, rows.reverse())),
    );
  }
}

function swatch() {
  const line = svg('line', { class: 'line', x1: 1, x2: 23, y1: 5, y2: 5 });
  return svg('svg', { class: 'swatch', viewBox: '0 0 24 10', 'aria-hidden': 'true', focusable: 'false' }, line);
}

function text(className, x, y, words, anchor) {
  return svg('text', { class: className, x, y, 'text-anchor': anchor }, words);
}
