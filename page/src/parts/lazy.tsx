/** A part that is fetched when it is first shown, so that the first view stays small. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api";
import { text } from "../text";
import { Failed, Loading } from "./states";

/** `place` is the class of an element as high as the part, so that nothing below it moves when it comes. */
export function lazy<Props extends object>(load: () => Promise<{ default: ComponentType<Props> }>, place: string) {
  let fetched: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [Part, set] = useState<ComponentType<Props> | null>(() => fetched);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (Part) return;
      load().then(
        (module) => {
          fetched = module.default;
          set(() => module.default);
        },
        () => setFailed(true),
      );
    }, []);
    if (Part) return <Part {...props} />;
    return (
      <div class={place}>
        {failed ? (
          // A browser keeps that an import failed: only the page loaded again asks for it again.
          <Failed error={new ApiError(text.errors.partAway, 0, "AWAY")} onReload={() => location.reload()} />
        ) : (
          <Loading />
        )}
      </div>
    );
  };
}
