/** The three states of every panel that has nothing to show: it loads, it failed, or there is nothing. */

import type { ComponentChildren } from "preact";
import { ApiError } from "../api";
import type { Scope } from "../session";
import { text } from "../text";

export function Loading({ what, onCancel }: { what?: string; onCancel?: () => void }) {
  return (
    <div class="state" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>{what ?? text.loading}</p>
      {onCancel && (
        <button type="button" class="quiet" onClick={onCancel}>
          {text.cancel}
        </button>
      )}
    </div>
  );
}

export function Failed({ error, onReload, title }: { error: unknown; onReload?: () => void; title?: string }) {
  const known = error instanceof ApiError ? error : null;
  return (
    <div class="state failed" role="alert">
      <p class="word">{title ?? text.errors.title}</p>
      <p>{known ? known.message : text.errors.broken}</p>
      {known?.correlationId && <p class="small">{text.requestId(known.correlationId)}</p>}
      {onReload && (
        <button type="button" onClick={onReload}>
          {text.reload}
        </button>
      )}
    </div>
  );
}

/** A change that failed; where no answer came, nobody here knows whether it was made. */
export function NotDone({ error, title }: { error: unknown; title: string }) {
  const unknown = error instanceof ApiError && [0, 502, 504].includes(error.status);
  return <Failed error={error} title={unknown ? text.errors.perhaps : title} />;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="state">
      <p class="word">{title}</p>
      {children}
    </div>
  );
}

export type Tone = "info" | "warning" | "danger" | "good";

export function Note({ tone, title, children }: { tone: Tone; title?: string; children: ComponentChildren }) {
  return (
    <div class={`note ${tone}`} role={tone === "danger" ? "alert" : "status"}>
      {title && <strong>{title}</strong>}
      <div>{children}</div>
    </div>
  );
}

/** In place of what is not allowed without `scope`, for whoever followed a link to it. panel: its name, if it is all. */
export function NotAllowed({ panel, scope }: { panel?: string; scope: Scope }) {
  return (
    <>
      {panel && (
        <div class="heading">
          <h1>{panel}</h1>
        </div>
      )}
      <Empty title={text.notAllowed}>
        <p>{text.scopeMissing(scope)}</p>
      </Empty>
    </>
  );
}
