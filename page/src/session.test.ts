import { afterEach, expect, test, vi } from "vitest";
import { getStatus, predictOne } from "./api";
import { bearer, begin, renewed, signIn, signInWanted, type Tokens, token } from "./session";

afterEach(() => {
  vi.unstubAllGlobals();
  signIn("");
});

const HOUR = 3_600_000;
const tokens = (name: string, more: Partial<Tokens> = {}): Tokens => ({
  token: name,
  scopes: null,
  ends: Date.now() + HOUR,
  renew: null,
  ...more,
});
/** Answers 401 to every token but this one, and notes which came. */
const service = (good: string) => {
  const came: string[] = [];
  vi.stubGlobal(
    "fetch",
    vi.fn(async (_: string, asked: RequestInit) => {
      const used = new Headers(asked.headers).get("Authorization")?.slice(7) ?? "";
      came.push(used);
      return new Response("{}", { status: used === good ? 200 : 401 });
    }),
  );
  return came;
};

test("a token that is about to end is renewed before it is sent, once for all who wait", async () => {
  const renew = vi.fn(async () => tokens("new"));
  begin(tokens("old", { ends: Date.now() + 10_000, renew }));
  expect(await Promise.all([bearer(), bearer(), bearer()])).toEqual(["new", "new", "new"]);
  expect(renew).toHaveBeenCalledOnce();
  begin(tokens("lasts", { renew }));
  expect(await bearer()).toBe("lasts");
  expect(renew).toHaveBeenCalledOnce();
});

test("what was refused is asked once more with a new token, and nobody is asked to sign in", async () => {
  const came = service("new");
  begin(tokens("old", { renew: async () => tokens("new") }));
  await predictOne("1", "churn", {});
  expect(came).toEqual(["old", "new"]);
  expect(signInWanted.value).toBe(false);
});

test("a new token that is refused too asks to sign in, and is not renewed for ever", async () => {
  const came = service("none");
  const renew = async (): Promise<Tokens> => tokens(`new ${came.length}`, { renew });
  begin(tokens("old", { renew }));
  await expect(getStatus()).rejects.toMatchObject({ status: 401 });
  expect(came).toHaveLength(2);
  expect(signInWanted.value).toBe(true);
});

test("where no new token is given the old one stays, for what the page offers, and one signs in", async () => {
  const came = service("new");
  const renew = vi.fn(async () => Promise.reject(new Error("invalid_grant")));
  begin(tokens("old", { renew }));
  await expect(getStatus()).rejects.toMatchObject({ status: 401 });
  await expect(getStatus()).rejects.toMatchObject({ status: 401 });
  expect([came, token.value, signInWanted.value]).toEqual([["old", "old"], "old", true]);
  expect(renew).toHaveBeenCalledOnce();
  begin(tokens("new"));
  expect(signInWanted.value).toBe(false);
  await getStatus();
});

test("who signs out while a token is renewed stays out", async () => {
  let give: (given: Tokens) => void = () => undefined;
  begin(tokens("old", { renew: () => new Promise((resolve) => (give = resolve)) }));
  const waiting = renewed("old");
  signIn("");
  give(tokens("new"));
  expect(await waiting).toBe(false);
  expect(token.value).toBeNull();
});
