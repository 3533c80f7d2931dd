/**
 * What an operator can do to a service: when it makes sense, what the question before it says, and
 * the request. The server checks all of it again.
 */

import * as api from './api.js';
import { now } from './clock.js';
import { InputError, REASON, ask, secret, show } from './dialog.js';
import { h } from './dom.js';
import { count, dateTime, duration, number, relative } from './format.js';
import { isFromFile, waitingWords } from './services.js';
import { askToRemove } from './removal.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const LISTED_EVENTS = 5;

/** Sends a verb that answers with the service; gives what there is to tell about it. */
async function send(service, verb, body, told) {
  await api.post(api.path('appservices', service.id, verb), body);
  return told;
}

const pause = {
  name: 'pause',
  words: 'Pause…',
  unavailable: (service) => service.paused?.by === 'operator' && 'It is paused already.',
  start: (service) =>
    ask({
      title: `Pause ${service.id}?`,
      says: [
        'Nothing more is sent to it until somebody resumes it, or until the time chosen below.',
        service.in_flight && 'The transaction that is on its way stays the next one; its acknowledgement still counts.',
        service.drain && 'The drain that is going on ends.',
        'New events go on queueing on disk, in order. Nothing is lost.',
      ],
      fields: [
        {
          name: 'lasts',
          label: 'Resume by itself',
          value: '',
          options: [['', 'no'], ...pauseLengths()],
        },
        REASON,
      ],
      confirm: 'Pause',
      act: ({ lasts, reason }) => {
        const until_ms = lasts === undefined ? undefined : now() + Number(lasts);
        return send(service, 'pause', { reason, until_ms }, `${service.id} is paused.`);
      },
    }),
};

function pauseLengths() {
  const lengths = [15 * MINUTE_MS, HOUR_MS, 8 * HOUR_MS, 24 * HOUR_MS];
  return lengths.map((ms) => [String(ms), `after ${duration(ms)}`]);
}

const resume = {
  name: 'resume',
  words: 'Resume…',
  unavailable: (service) => {
    if (service.paused?.by === 'operator' || service.drain) return false;
    return service.paused ? 'The service has gone off line by itself, and comes back by itself.' : 'It is not paused.';
  },
  start: (service) =>
    ask({
      title: `Resume ${service.id}?`,
      says: [
        service.drain && 'The drain ends: the service is not paused at its end.',
        `Delivery goes on at once, in the server’s order: ${waitingWords(service)}.`,
      ],
      fields: [REASON],
      confirm: 'Resume',
      act: ({ reason }) => send(service, 'resume', { reason }, `${service.id} is resumed.`),
    }),
};

const retry = {
  name: 'retry',
  words: 'Retry now…',
  unavailable: (service) => {
    if (service.state === 'failed') return false;
    if (service.paused) return 'It is paused, so nothing is tried: resume it.';
    return service.state !== 'retrying' && 'Nothing has failed that could be tried again.';
  },
  start: (service) =>
    ask({
      title: service.state === 'failed' ? `Bring ${service.id} back?` : `Try ${service.id} again now?`,
      says:
        service.state === 'failed'
          ? ['It was given up; with this, delivery begins again.', `In the server’s order: ${waitingWords(service)}.`]
          : [
              service.next_try_at_ms && `The next attempt is due ${relative(service.next_try_at_ms, now())}; it is made now instead.`,
              'The same transaction is sent again, under the same id and with the same bytes.',
            ],
      fields: [REASON],
      confirm: 'Retry now',
      act: ({ reason }) => send(service, 'retry', { reason }, `${service.id} is being tried again.`),
    }),
};

const skip = {
  name: 'skip',
  words: 'Skip…',
  danger: true,
  unavailable: (service) => {
    if (!service.in_flight) return 'There is no transaction to skip.';
    return service.in_flight.failed_attempts === 0 && 'The transaction on its way has not failed.';
  },
  start: (service, { transaction }) =>
    ask({
      title: `Skip transaction ${service.in_flight.transaction_id}?`,
      says: [
        `${service.id} will not get ${count(service.in_flight.events, 'event')} of it` +
          (service.stuck ? ', the one that it keeps refusing.' : '; more than one event may be lost to it.'),
        transaction?.transaction_id === service.in_flight.transaction_id && eventList(transaction.events),
        'Delivery goes on with what is behind it.',
        'The skip is recorded, and can be replayed from this page.',
      ],
      fields: [REASON],
      confirm: 'Skip it',
      danger: true,
      act: ({ reason }) =>
        send(
          service,
          'skip',
          { transaction_id: service.in_flight.transaction_id, reason },
          `Transaction ${service.in_flight.transaction_id} is skipped.`,
        ),
    }),
};

function eventList(events) {
  const shown = events.slice(0, LISTED_EVENTS).map((event) => h('li', {}, `${event.type} by ${event.sender}`));
  const rest = events.length - shown.length;
  return shown.length > 0 && [
    'These events:',
    h('ul', {}, shown, rest > 0 && h('li', {}, `and ${number(rest)} more`)),
  ];
}

const fail = {
  name: 'fail',
  words: 'Give up…',
  danger: true,
  unavailable: (service) => {
    if (service.state === 'failed') return 'It is given up already.';
    const fails = service.state === 'retrying' || service.in_flight?.failed_attempts > 0;
    return !fails && 'Only a service whose attempts fail can be given up.';
  },
  start: (service) =>
    ask({
      title: `Give ${service.id} up?`,
      says: [
        'No attempt is made any more, and no sign of life changes that: only “Retry now” does.',
        'Its events go on queueing on disk. Nothing is lost.',
      ],
      fields: [REASON],
      confirm: 'Give it up',
      danger: true,
      act: ({ reason }) => send(service, 'fail', { reason }, `${service.id} is given up.`),
    }),
};

const replay = {
  name: 'replay',
  words: 'Replay…',
  unavailable: (service) => service.cursor === 0 && 'It has not had anything yet.',
  start: (service) =>
    ask({
      title: `Replay to ${service.id}?`,
      says: [
        'What the service has had is sent to it again, before anything newer, in the server’s order and under new transaction ids.',
        service.replay && 'It waits for the replay that is going on.',
        'A service that does not remember event ids will act on them twice.',
        `It has acknowledged everything up to position ${number(service.cursor)}.`,
      ],
      fields: [
        {
          name: 'what',
          label: 'Beginning',
          type: 'radio',
          value: 'since',
          options: [['since', 'at a time'], ['after', 'after a position']],
        },
        { name: 'since', onlyWhen: ['what', 'since'], label: 'Time', type: 'datetime-local', step: 1, value: localTime(now() - HOUR_MS) },
        { name: 'after', onlyWhen: ['what', 'after'], label: 'Position', type: 'number', min: 0, max: service.cursor, value: service.cursor },
        REASON,
      ],
      confirm: 'Replay',
      danger: true,
      act: ({ what, since, after, reason }) => {
        const body = what === 'since' ? { since_ms: timeOf(since) } : { after: positionOf(after) };
        return send(service, 'replay', { ...body, reason }, `A replay to ${service.id} has begun.`);
      },
    }),
};

/** A time as an input of the browser takes it. */
function localTime(atMs) {
  return dateTime(atMs).replace(' ', 'T');
}

function timeOf(value) {
  const at = Date.parse(value ?? '');
  if (Number.isNaN(at)) throw new InputError('Choose a time.');
  return at;
}

function positionOf(value) {
  if (!/^\d+$/.test(value ?? '')) throw new InputError('Write a position: a whole number from 0 on.');
  return Number(value);
}

const drain = {
  name: 'drain',
  words: 'Drain…',
  unavailable: (service) => {
    if (service.state === 'failed') return 'It is given up: bring it back with “Retry now” first.';
    if (service.drain) return 'A drain is going on.';
    return service.paused && 'It is paused: nothing can be drained.';
  },
  start: (service) =>
    ask({
      title: `Drain ${service.id}?`,
      says: [
        `What waits now is delivered: ${waitingWords(service)}.`,
        'Then the service is paused, and stays so until somebody resumes it.',
        'What comes in meanwhile queues on disk.',
      ],
      fields: [REASON],
      confirm: 'Drain',
      act: ({ reason }) => send(service, 'drain', { reason }, `${service.id} is being drained.`),
    }),
};

const policy = {
  name: 'policy',
  words: 'Policy…',
  unavailable: () => false,
  start: (service) =>
    ask({
      title: `What may the server do by itself for ${service.id}?`,
      says: [
        'An event that the service goes on refusing keeps everything behind it waiting.',
        'Without a number, it waits for a person. With one, the server skips the event after so many further attempts.',
        'Each such skip is recorded, and can be replayed.',
      ],
      fields: [
        {
          name: 'attempts',
          label: 'Skip a stuck event after so many attempts',
          hint: 'Empty: never, a person decides.',
          type: 'number',
          min: 1,
          max: 1_000_000,
          value: service.skip_stuck_after ?? '',
        },
        REASON,
      ],
      confirm: 'Set the policy',
      act: async ({ attempts, reason }) => {
        const skip_stuck_after = attempts === undefined ? undefined : positionOf(attempts);
        await api.put(api.path('appservices', service.id, 'policy'), { skip_stuck_after, reason });
        return skip_stuck_after === undefined
          ? `Stuck events of ${service.id} wait for a person.`
          : `Stuck events of ${service.id} are skipped after ${count(skip_stuck_after, 'attempt')}.`;
      },
    }),
};

const rotate = {
  name: 'rotate',
  words: 'Rotate tokens…',
  unavailable: () => false,
  start: async (service) => {
    const rotated = await ask({
      title: `Give ${service.id} new tokens?`,
      says: [
        'A new as_token and a new hs_token are made and shown once.',
        'The old ones stay good for the time chosen, so that the service can be given the new ones meanwhile.',
        isFromFile(service) && `Its registration is the file ${service.source} on the server: the two tokens in it are replaced.`,
      ],
      fields: [
        {
          name: 'overlap',
          label: 'The old tokens end',
          value: String(HOUR_MS),
          options: [
            ['0', 'at once'],
            ...[10 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS].map((ms) => [String(ms), `after ${duration(ms)}`]),
          ],
        },
        REASON,
      ],
      confirm: 'Make new tokens',
      danger: true,
      act: ({ overlap, reason }) =>
        api.post(api.path('appservices', service.id, 'rotate'), { overlap_ms: Number(overlap), reason }),
    });
    if (!rotated) return undefined;
    await show({
      title: `New tokens of ${rotated.id}`,
      body: [
        h('p', {}, 'They are shown only now: the server does not tell them again.'),
        secret('as_token, which the service shows', rotated.as_token),
        secret('hs_token, which the server shows', rotated.hs_token),
        h('p', { class: 'hint' }, overlapWords(rotated)),
      ],
      close: 'I have them',
    });
    return `${rotated.id} has new tokens (revision ${number(rotated.revision)}).`;
  },
};

function overlapWords(rotated) {
  return rotated.overlap_until_ms === undefined
    ? 'The old tokens are no longer good.'
    : `The old tokens are good until ${dateTime(rotated.overlap_until_ms)}.`;
}

const remove = {
  name: 'remove',
  words: 'Remove…',
  danger: true,
  leaves: true,
  unavailable: (service) =>
    isFromFile(service) && `Its registration is a file on the server (${service.source}): take the file away there.`,
  start: askToRemove,
};

/** All verbs, in the order of their buttons, in two groups. */
export const VERBS = [
  { label: 'Delivery', verbs: [pause, resume, retry, skip, replay, drain, policy, fail] },
  { label: 'Registration', verbs: [rotate, remove] },
];

/** Replays one skipped transaction. */
export function askToReplaySkip(service, skipped) {
  return ask({
    title: `Replay skipped transaction ${skipped.transaction_id}?`,
    says: [
      `Its ${count(skipped.events.length, 'event')} are sent to ${service.id}, under a new transaction id.`,
      'They come late: what was behind them has been delivered before them.',
      skipped.replayed_at_ms !== undefined && `It was replayed before, at ${dateTime(skipped.replayed_at_ms)}.`,
    ],
    fields: [REASON],
    confirm: 'Replay it',
    act: ({ reason }) =>
      send(service, 'replay', { skip_id: skipped.skip_id, reason }, `Transaction ${skipped.transaction_id} is being replayed.`),
  });
}
