/** The address says what is shown: #/panel/item?name=value. Links can be shared, and back works. */

import { signal } from "@preact/signals";

export interface Route {
  /** The panel, then what is shown of it: ["segments", "high-value"]. */
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", ...rest] = hash.replace(/^#\/?/, "").split("?");
  const query = rest.join("?"); // a link that someone wrote may have one within an id
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

export function address(path: string[], query: Record<string, string | null | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const parameters = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${parameters}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal<Route>(parse(globalThis.location?.hash ?? ""));

export function follow(): void {
  addEventListener("hashchange", () => {
    route.value = parse(location.hash);
  });
}

/** Goes there; with `replace` without a step of its own on the way back. */
export function go(to: string, replace = false): void {
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, "", to);
    route.value = parse(to);
  } else {
    location.hash = to;
  }
}
