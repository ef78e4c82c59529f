/** A question before something is changed. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { signInWanted } from "../session";
import { text } from "../text";
import { SignIn } from "./signin";

export function Dialog({
  title,
  children,
  action,
  onAct,
  onClose,
  busy = false,
  danger = false,
}: {
  title: string;
  children: ComponentChildren;
  action: string;
  onAct: () => void;
  onClose: () => void;
  busy?: boolean;
  danger?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={onClose}>
      <h2 id={heading}>{title}</h2>
      {children}
      {/* While a dialog is open, nothing beside it can be reached. */}
      {signInWanted.value && <SignIn />}
      <div class="actions">
        <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
          {text.cancel}
        </button>
        <button type="button" class={danger ? "danger" : "primary"} disabled={busy} onClick={onAct}>
          {action}
        </button>
      </div>
    </dialog>
  );
}
