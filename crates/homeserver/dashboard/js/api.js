/**
 * The operator API, as any script may use it. The session is a cookie that scripts cannot read;
 * whatever changes something carries the session's CSRF token as well.
 */

import { learn } from './clock.js';

const BASE = new URL('v1/', document.baseURI);
const READ_WITHIN_MS = 15_000;
const WRITE_WITHIN_MS = 120_000;

/** The server has refused a request. */
export class ApiError extends Error {
  constructor(status, body, retryAfterMs) {
    super(body?.error ?? `The server answered with status ${status}.`);
    this.name = 'ApiError';
    this.status = status;
    this.errcode = body?.errcode ?? 'M_UNKNOWN';
    this.retryAfterMs = retryAfterMs;
    /** What the linter has to say about a registration that was refused. */
    this.findings = body?.findings;
  }
}

/** The server has not answered. */
export class Unreachable extends Error {
  constructor(cause) {
    super('The server does not answer.', { cause });
    this.name = 'Unreachable';
  }
}

let csrfToken;
let whenSignedOut = () => {};

/** Says what to do when the server no longer knows the session. */
export function onSignedOut(action) {
  whenSignedOut = action;
}

/** The path of a thing, each part escaped. */
export function path(...parts) {
  return parts.map(encodeURIComponent).join('/');
}

/** Where to listen for events, of one service or of all. */
export function eventsUrl(serviceId) {
  return urlOf('events', { service_id: serviceId });
}

function urlOf(where, query) {
  const url = new URL(where, BASE);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

async function request(method, where, { query, body } = {}) {
  const writes = method !== 'GET';
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (writes && csrfToken !== undefined) headers['X-CSRF-Token'] = csrfToken;
  const response = await sent(urlOf(where, query), {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: 'same-origin',
    cache: 'no-store',
    redirect: 'error',
    signal: AbortSignal.timeout(writes ? WRITE_WITHIN_MS : READ_WITHIN_MS),
  });
  learn(response.headers.get('date'));
  const answer = await contents(response);
  if (response.ok) return answer;
  if (answer === undefined && [502, 503, 504].includes(response.status)) {
    throw new Unreachable(`a proxy answered ${response.status}`);
  }
  const retryAfter = Number(response.headers.get('retry-after') ?? NaN);
  const error = new ApiError(response.status, answer, answer?.retry_after_ms ?? retryAfter * 1000);
  if (error.status === 401) whenSignedOut();
  throw error;
}

async function sent(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw new Unreachable(error);
  }
}

/** The answer's JSON; `undefined` where it has none. */
async function contents(response) {
  let text;
  try {
    text = await response.text();
  } catch (error) {
    throw new Unreachable(error);
  }
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Looks. */
export const get = (where, query) => request('GET', where, { query });
/** Does. */
export const post = (where, body = {}) => request('POST', where, { body });
/** Sets. */
export const put = (where, body) => request('PUT', where, { body });
/** Removes. */
export const remove = (where, query) => request('DELETE', where, { query });

/** What there is, or `undefined` where the server says that there is nothing. */
export async function getIfAny(where, query) {
  try {
    return await get(where, query);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** Begins a session with an operator's token. */
export async function signIn(token) {
  return remember(await post('session', { token }));
}

/** The session that this browser has, if any. */
export async function session() {
  try {
    return remember(await get('session'));
  } catch (error) {
    if (error instanceof ApiError && [401, 403].includes(error.status)) return undefined;
    throw error;
  }
}

/** Ends the session, here and on the server. */
export async function signOut() {
  await remove('session');
  csrfToken = undefined;
}

function remember(answer) {
  csrfToken = answer.csrf_token;
  return answer;
}
