import { expect, test } from "vitest";
import { limiter } from "./limited";

test("never more than so many run at once, and all have their turn, whatever fails", async () => {
  const limited = limiter(2);
  let running = 0;
  let most = 0;
  const ended: number[] = [];
  const work = (number: number) => async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, number % 3));
    running--;
    ended.push(number);
    if (number % 4 === 0) throw new Error(String(number));
  };
  const all = Array.from({ length: 20 }, (_, number) => limited(work(number)));
  const after = all[0]?.catch(() => limited(work(21)));
  await Promise.allSettled([...all, after]);
  expect(ended.sort((a, b) => a - b)).toEqual([...Array(20).keys(), 21]);
  expect(most).toBe(2);
});
