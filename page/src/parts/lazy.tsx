/** A part that is fetched when it is first shown, so that the first view stays small. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Loading } from "./states";

export function lazy<Props extends object>(load: () => Promise<{ default: ComponentType<Props> }>) {
  let fetched: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [Part, set] = useState<ComponentType<Props> | null>(() => fetched);
    useEffect(() => {
      if (!Part) void load().then((module) => set(() => (fetched = module.default)));
    }, []);
    return Part ? <Part {...props} /> : <Loading />;
  };
}
