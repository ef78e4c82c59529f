import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { latest } from "./latest";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A service whose answers come when the test says so, and what came of them. */
function slow() {
  const asked: {
    wanted: string;
    signal: AbortSignal;
    answer: (said: string) => void;
    fail: (error: unknown) => void;
  }[] = [];
  const told: string[] = [];
  const asking = latest<string, string>({
    milliseconds: 200,
    ask: (wanted, signal) =>
      new Promise((answer, fail) => {
        asked.push({ wanted, signal, answer, fail });
      }),
    onAnswer: (answer, wanted) => told.push(`${wanted}: ${answer}`),
    onFailure: (error) => told.push(`failed: ${String(error)}`),
  });
  return { asking, asked, told };
}

test("only the last of many wishes is asked for, once nothing changes for a moment", async () => {
  const { asking, asked, told } = slow();
  for (const wanted of ["a", "b", "c"]) {
    asking.want(wanted);
    await vi.advanceTimersByTimeAsync(199);
  }
  expect(asked).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked.map(({ wanted }) => wanted)).toEqual(["c"]);
  asked[0]?.answer("yes");
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(["c: yes"]);
});

test("another wish aborts what is asked at once; what comes of it is dropped, in whatever order", async () => {
  const { asking, asked, told } = slow();
  asking.want("old");
  await vi.advanceTimersByTimeAsync(200);
  asking.want("new");
  expect(asked[0]?.signal.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(200);
  expect(asked.filter(({ signal }) => !signal.aborted)).toHaveLength(1);
  asked[1]?.answer("of now");
  asked[0]?.answer("of before");
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(["new: of now"]);
  asking.want("third");
  await vi.advanceTimersByTimeAsync(200);
  asked[2]?.fail("away");
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(["new: of now", "failed: away"]);
});

test("who stops asking hears nothing, before and while it is asked", async () => {
  const { asking, asked, told } = slow();
  asking.want("a");
  asking.stop();
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toHaveLength(0);
  asking.want("b");
  await vi.advanceTimersByTimeAsync(200);
  asking.stop();
  asked[0]?.fail("aborted");
  await vi.advanceTimersByTimeAsync(0);
  expect([asked[0]?.signal.aborted, told]).toEqual([true, []]);
});
