/** Something that is loaded: what a panel shows of it, and how it is asked for again. */

import { useEffect, useRef, useState } from "preact/hooks";

export type Loaded<T> =
  | { state: "loading"; value: T | null; error: null }
  | { state: "ready"; value: T; error: null }
  | { state: "failed"; value: T | null; error: unknown };

/** Loads now and whenever one of `over` changes. While it loads again, or after it has failed, the last value stays. */
export function useResource<T>(
  load: (signal: AbortSignal) => Promise<T>,
  over: readonly unknown[],
): Loaded<T> & { reload: () => void } {
  const [loaded, set] = useState<Loaded<T>>({ state: "loading", value: null, error: null });
  const [tries, again] = useState(0);
  const shownOf = useRef<string>("");
  const key = JSON.stringify(over);
  useEffect(() => {
    const stop = new AbortController();
    const kept = shownOf.current === key;
    shownOf.current = key;
    set((before) => ({ state: "loading", value: kept ? before.value : null, error: null }));
    load(stop.signal).then(
      (value) => stop.signal.aborted || set({ state: "ready", value, error: null }),
      (error: unknown) => stop.signal.aborted || set((before) => ({ state: "failed", value: before.value, error })),
    );
    return () => stop.abort();
  }, [key, tries]);
  return { ...loaded, reload: () => again((before) => before + 1) };
}
