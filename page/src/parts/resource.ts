/** Something that is loaded: what a panel shows of it, and how it is asked for again. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { token } from "../session";
import { text } from "../text";

export type Loaded<T> =
  | { state: "loading"; value: T | null; error: null }
  | { state: "ready"; value: T; error: null }
  | { state: "failed"; value: T | null; error: unknown };

/**
 * Loads now and whenever one of `over` changes. While it loads again, or after it has failed, the last value stays.
 * `cancel` ends what is loading; that shows as a failure with a way to try again.
 */
export function useResource<T>(
  load: (signal: AbortSignal) => Promise<T>,
  over: readonly unknown[],
): Loaded<T> & { reload: () => void; cancel: () => void } {
  const [loaded, set] = useState<Loaded<T>>({ state: "loading", value: null, error: null });
  const [tries, again] = useState(0);
  const shownOf = useRef<string>("");
  const running = useRef<AbortController | null>(null);
  const key = JSON.stringify(over);
  useEffect(() => {
    const stop = new AbortController();
    running.current = stop;
    const kept = shownOf.current === key;
    shownOf.current = key;
    set((before) => ({ state: "loading", value: kept ? before.value : null, error: null }));
    load(stop.signal).then(
      (value) => stop.signal.aborted || set({ state: "ready", value, error: null }),
      (error: unknown) => stop.signal.aborted || set((before) => ({ state: "failed", value: before.value, error })),
    );
    return () => stop.abort();
  }, [key, tries]);
  // Who has signed in again need not ask again.
  useEffect(() => {
    if (loaded.error instanceof ApiError && loaded.error.status === 401) again((before) => before + 1);
  }, [token.value]);
  const cancel = () => {
    running.current?.abort();
    const error = new ApiError(text.errors.cancelled, 0, "CANCELLED");
    set((before) => ({ state: "failed", value: before.value, error }));
  };
  return { ...loaded, reload: () => again((before) => before + 1), cancel };
}
