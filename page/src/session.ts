/** Who uses the page: the token, which is kept in memory only, and what it allows. */

import { computed, signal } from "@preact/signals";

/** Where a person signs in, as the service says. */
export interface Issuer {
  issuer: string;
  client_id: string;
  audience: string | null;
}

export interface Tokens {
  token: string;
  /** Null where nothing says what the token allows, and then everything is offered. */
  scopes: Set<string> | null;
  /** When it ends, in milliseconds since 1970; null where nobody knows. */
  ends: number | null;
  /** Gets others without asking the person; null if that is not possible. */
  renew: (() => Promise<Tokens>) | null;
}

/** Null where a token is pasted, and where nobody is asked for one. */
export const issuer = signal<Issuer | null>(null);
const session = signal<Tokens | null>(null);
/** What the API is called with; null until someone signs in, and where nobody has to. */
export const token = computed(() => session.value?.token ?? null);
/** True once the API has refused a request for want of a token that it accepts. */
export const signInWanted = signal(false);

export type Scope = "loyalty/read" | "loyalty/predict" | "loyalty/segments" | "loyalty/models";

/** Whether the person may do this, as far as the page knows: what one may not do is not offered. */
export function may(scope: Scope): boolean {
  const scopes = session.value?.scopes ?? null;
  return scopes === null || scopes.has(scope);
}

/** The scopes that a JWT names, in `scope` or `scp`; null if it names none that can be read. */
export function scopesOf(jwt: string): Set<string> | null {
  try {
    const payload = jwt.split(".")[1] ?? "";
    const json = atob(payload.replace(/-/g, "+").replace(/_/g, "/"));
    const claims = JSON.parse(json) as { scope?: unknown; scp?: unknown };
    const named = claims.scope ?? claims.scp;
    if (typeof named === "string") return new Set(named.split(" "));
    return Array.isArray(named) ? new Set(named.map(String)) : null;
  } catch {
    return null;
  }
}

export function begin(tokens: Tokens): void {
  session.value = tokens;
  signInWanted.value = false;
}

/** Takes a token; an empty one forgets it. False for what no request can carry, which changes nothing. */
export function signIn(given: string): boolean {
  const bare = given.trim().replace(/^Bearer\s+/i, "");
  if (!/^[\x21-\x7e]*$/.test(bare)) return false;
  session.value = bare ? { token: bare, scopes: scopesOf(bare), ends: null, renew: null } : null;
  signInWanted.value = false;
  return true;
}

const MILLISECONDS_AHEAD = 30_000;

/** The token to send: another one, if this one is about to end. */
export async function bearer(): Promise<string | null> {
  const ends = session.value?.ends ?? null;
  if (token.value !== null && ends !== null && ends - Date.now() < MILLISECONDS_AHEAD) await renewed(token.value);
  return token.value;
}

let renewing: Promise<boolean> | null = null;

/**
 * Whether there is another token than the one that was refused, or is about to be: got without asking the person. If
 * not, the old one stays: the API refuses it, and the page asks to sign in, over what was typed.
 */
export function renewed(refused: string): Promise<boolean> {
  if (token.value !== refused) return Promise.resolve(token.value !== null);
  const before = session.value;
  if (!before?.renew) return Promise.resolve(false);
  renewing ??= before
    .renew()
    .then(
      (tokens) => {
        // Who signed out meanwhile, or signed in anew, is not overruled.
        if (session.value === before) begin(tokens);
        return token.value !== null;
      },
      () => {
        if (session.value === before) session.value = { ...before, renew: null };
        return false;
      },
    )
    .finally(() => {
      renewing = null;
    });
  return renewing;
}
