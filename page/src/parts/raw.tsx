/** The answer as the API gave it, and the request for a terminal. */

import { useState } from "preact/hooks";
import { text } from "../text";

export function Raw({
  answer,
  curl,
  children,
}: {
  answer: unknown;
  curl: string;
  children?: preact.ComponentChildren;
}) {
  const [said, say] = useState<"copied" | "failed" | null>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(curl);
      say("copied");
    } catch {
      say("failed");
    }
  };
  return (
    <div class="raw">
      <div class="actions start">
        {children}
        <button type="button" onClick={() => void copy()}>
          {said === "copied" ? text.predict.copied : text.predict.copyCurl}
        </button>
      </div>
      {said === "failed" && (
        <>
          <p class="small">{text.predict.copyFailed}</p>
          <pre tabIndex={0}>{curl}</pre>
        </>
      )}
      <details>
        <summary>{text.predict.rawJson}</summary>
        <pre tabIndex={0}>{JSON.stringify(answer, null, 2)}</pre>
      </details>
    </div>
  );
}
