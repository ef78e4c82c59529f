/** Signing in at the issuer: authorization code with PKCE, in a window of its own, so that the page keeps all it has. */

import * as oauth from "oauth4webapi";
import { type Issuer, type Scope, scopesOf, type Tokens } from "./session";

const SCOPES: Scope[] = ["loyalty/read", "loyalty/predict", "loyalty/segments", "loyalty/models"];
/** Where signed-in.ts tells what the issuer answered. */
const CHANNEL = "loyalty-signed-in";

/** Known servers by issuer: asked once. */
const servers = new Map<string, Promise<oauth.AuthorizationServer>>();

/** An issuer on one's own machine has no certificate; no other is spoken to without. */
function options(issuer: Issuer) {
  const { protocol, hostname } = new URL(issuer.issuer);
  return { [oauth.allowInsecureRequests]: protocol === "http:" && ["localhost", "127.0.0.1"].includes(hostname) };
}

function serverOf(issuer: Issuer): Promise<oauth.AuthorizationServer> {
  const known = servers.get(issuer.issuer);
  if (known) return known;
  const address = new URL(issuer.issuer);
  const asked = oauth
    .discoveryRequest(address, options(issuer))
    .then((response) => oauth.processDiscoveryResponse(address, response));
  servers.set(issuer.issuer, asked);
  asked.catch(() => servers.delete(issuer.issuer));
  return asked;
}

/** Whether the person, or the issuer, said no. */
export const isRefusal = (error: unknown): boolean => error instanceof oauth.AuthorizationResponseError;

/** Leads `opened`, an empty window, to the issuer, and waits for its answer. Rejects if `stop` is aborted meanwhile. */
export async function signInAt(issuer: Issuer, opened: Window, stop: AbortSignal): Promise<Tokens> {
  const server = await serverOf(issuer);
  stop.throwIfAborted();
  if (!server.authorization_endpoint) throw new Error("The issuer has no authorization endpoint");
  const client: oauth.Client = { client_id: issuer.client_id };
  const callback = `${location.origin}${import.meta.env.BASE_URL}signed-in`;
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const asked = new URL(server.authorization_endpoint);
  const parameters = {
    client_id: issuer.client_id,
    redirect_uri: callback,
    response_type: "code",
    // Some issuers renew a token only for whoever asks for this beforehand.
    scope: [...SCOPES, ...(server.scopes_supported?.includes("offline_access") ? ["offline_access"] : [])].join(" "),
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...(issuer.audience ? { audience: issuer.audience } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) asked.searchParams.set(name, value);
  stop.throwIfAborted();
  const answered = answerOf(state, stop);
  opened.location.href = asked.href;
  const valid = oauth.validateAuthResponse(server, client, await answered, state);
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    valid,
    callback,
    verifier,
    options(issuer),
  );
  return tokensOf(issuer, await oauth.processAuthorizationCodeResponse(server, client, response));
}

/** What the issuer answered to the request with this state: another tab may have one of its own. */
function answerOf(state: string, stop: AbortSignal): Promise<URLSearchParams> {
  const channel = new BroadcastChannel(CHANNEL);
  return new Promise<URLSearchParams>((resolve, reject) => {
    channel.onmessage = (event: MessageEvent<string>) => {
      const answer = new URLSearchParams(event.data);
      if (answer.get("state") === state) resolve(answer);
    };
    stop.addEventListener("abort", () => reject(stop.reason));
  }).finally(() => channel.close());
}

function tokensOf(issuer: Issuer, answer: oauth.TokenEndpointResponse, before: string | null = null): Tokens {
  const refresh = answer.refresh_token ?? before;
  return {
    token: answer.access_token,
    scopes: answer.scope === undefined ? scopesOf(answer.access_token) : new Set(answer.scope.split(" ")),
    ends: answer.expires_in === undefined ? null : Date.now() + 1000 * answer.expires_in,
    renew: refresh ? () => renew(issuer, refresh) : null,
  };
}

async function renew(issuer: Issuer, refresh: string): Promise<Tokens> {
  const server = await serverOf(issuer);
  const client: oauth.Client = { client_id: issuer.client_id };
  const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refresh, options(issuer));
  return tokensOf(issuer, await oauth.processRefreshTokenResponse(server, client, response), refresh);
}
