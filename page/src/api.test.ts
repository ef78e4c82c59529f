import { afterEach, expect, test, vi } from "vitest";
import { type ApiError, getCard, getSegment, getStatistics, getStatus, predictOne, readStart, startJob } from "./api";
import { may, scopesOf, signIn, signInWanted, token } from "./session";

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  vi.fn<typeof fetch>(
    async () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers }),
  );

afterEach(() => {
  vi.unstubAllGlobals();
  signIn("");
});

const jwt = (claims: object) => `x.${btoa(JSON.stringify(claims))}.y`;

test("without a token everything is offered, with one what its scopes allow", () => {
  expect(may("loyalty/models")).toBe(true);
  signIn(`Bearer ${jwt({ scope: "loyalty/read loyalty/predict" })}`);
  expect([may("loyalty/read"), may("loyalty/models")]).toEqual([true, false]);
  expect(scopesOf(jwt({ scp: ["loyalty/models"] }))).toEqual(new Set(["loyalty/models"]));
  expect(scopesOf("no token")).toBeNull();
});

test("the token goes with each request, and with nothing else", async () => {
  const fetched = answer(200, {});
  vi.stubGlobal("fetch", fetched);
  signIn("secret");
  await getStatus();
  expect(fetched.mock.calls[0]?.[1]?.headers).toEqual({ Authorization: "Bearer secret" });
});

test("an error has the service's own sentence", async () => {
  vi.stubGlobal(
    "fetch",
    answer(404, { error: "Customer not found in DWH", code: "CUSTOMER_NOT_FOUND" }, { "X-Correlation-Id": "c" }),
  );
  const error = await predictOne("x", "churn", {}).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    message: "Customer not found in DWH",
    status: 404,
    code: "CUSTOMER_NOT_FOUND",
    correlationId: "c",
  });
});

test("an answer that is not the service's has a sentence all the same", async () => {
  vi.stubGlobal("fetch", answer(503, "<html>", { "Retry-After": "5" }));
  const error = await getStatus().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ status: 503, retryAfterSeconds: 5 });
  expect((error as ApiError).message).toMatch(/Try again/);
});

test.each(["null", "5", '"x"', "[]", "[null]", '{"error": {"a": 1}}', '{"error": null}', "", "{"])(
  "a refusal with the body %s has a sentence",
  async (body) => {
    vi.stubGlobal("fetch", answer(503, body));
    const error = (await getStatus().catch((thrown: unknown) => thrown)) as ApiError;
    expect(error.status).toBe(503);
    expect(error.message).toMatch(/Try again/);
  },
);

test("an answer that breaks off, or is another's, is said", async () => {
  const broken = new ReadableStream({ start: (stream) => stream.error(new TypeError("network error")) });
  vi.stubGlobal(
    "fetch",
    vi.fn(async () => new Response(broken)),
  );
  await expect(getStatus()).rejects.toMatchObject({ code: "AWAY", status: 0 });
  vi.stubGlobal("fetch", answer(200, "<html>Welcome to this hotel</html>"));
  await expect(getStatus()).rejects.toMatchObject({ code: "NOT_JSON" });
});

test.each(["a b", "a\u200bb", "ä.b.c", "😀", "a\nb"])("%s is no token, and changes none", (given) => {
  signIn("good");
  expect(signIn(given)).toBe(false);
  expect(token.value).toBe("good");
});

test("no answer at all is said, and a request that was cancelled is no error of the service", async () => {
  vi.stubGlobal(
    "fetch",
    vi.fn(async () => Promise.reject(new TypeError("failed"))),
  );
  await expect(getStatus()).rejects.toMatchObject({ code: "AWAY" });
  await expect(getStatus(AbortSignal.abort())).rejects.toBeInstanceOf(TypeError);
});

test("401 asks to sign in, and 403 does not", async () => {
  vi.stubGlobal("fetch", answer(403, { message: "Forbidden" }));
  await getStatus().catch(() => null);
  expect(signInWanted.value).toBe(false);
  vi.stubGlobal("fetch", answer(401, { message: "Unauthorized" }));
  await getStatus().catch(() => null);
  expect(signInWanted.value).toBe(true);
  signIn("another");
  expect([signInWanted.value, token.value]).toEqual([false, "another"]);
});

test("a start that failed has the same key when it is tried again, and the next one another", async () => {
  const keysOf = async (status: number, body: Parameters<typeof startJob>[0], of?: string) => {
    const fetched = answer(status, {});
    vi.stubGlobal("fetch", fetched);
    await startJob(body, of === undefined ? {} : { of }).catch(() => null);
    return new Headers(fetched.mock.calls[0]?.[1]?.headers).get("Idempotency-Key");
  };
  const body = { type: "churn", format: "csv" } as const;
  const first = await keysOf(503, body);
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(await keysOf(503, { type: "nbo", format: "csv" })).not.toBe(first);
  expect(await keysOf(503, body, "another file")).not.toBe(first);
  expect(await keysOf(503, body)).toBe(first);
  expect(await keysOf(201, body)).toBe(first);
  expect(await keysOf(201, body)).not.toBe(first);
});

test.each([".", ".."])("%s asks for nothing else than it says", async (id) => {
  const fetched = answer(200, {});
  vi.stubGlobal("fetch", fetched);
  for (const asked of [() => getSegment(id), () => getStatistics(id, 1), () => getCard("churn", id)]) {
    await expect(asked()).rejects.toMatchObject({ status: 404 });
  }
  expect(fetched).not.toHaveBeenCalled();
  await getSegment(`${id}x`);
  expect(fetched).toHaveBeenCalledOnce();
});

test("whether a result was read whole is told by its bytes, not by its characters", async () => {
  vi.stubGlobal("fetch", answer(206, "😀".repeat(4)));
  expect(await readStart("x", 16)).toEqual({ text: "😀".repeat(4), whole: false });
  expect(await readStart("x", 17)).toEqual({ text: "😀".repeat(4), whole: true });
});
