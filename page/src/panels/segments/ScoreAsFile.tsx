/** A button that has members of a segment scored as a file, and leads to the job. */

import { useState } from "preact/hooks";
import { startJob } from "../../api";
import { NotDone } from "../../parts/states";
import { address } from "../../route";
import type { Schemas } from "../../schemas";
import { may } from "../../session";
import { text } from "../../text";

interface Props {
  body: Schemas["JobRequest"];
  label: string;
  hint?: string;
  disabled?: boolean;
}

export function ScoreAsFile({ body, label, hint, disabled = false }: Props) {
  const asked = JSON.stringify(body);
  const [busy, setBusy] = useState(false);
  const [started, setStarted] = useState<{ asked: string; job: string } | null>(null);
  const [error, setError] = useState<unknown>(null);
  if (!may("loyalty/predict")) return null;
  const start = async () => {
    setBusy(true);
    setError(null);
    setStarted(null);
    try {
      setStarted({ asked, job: (await startJob(body)).job_id });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="hand-on">
      <button type="button" disabled={busy || disabled} onClick={() => void start()}>
        {label}
      </button>
      {hint && <p class="small">{hint}</p>}
      {started?.asked === asked && (
        <p role="status">
          {text.segments.exported} <a href={address(["files", started.job])}>{text.segments.exportedJob}</a>
        </p>
      )}
      {error !== null && <NotDone error={error} title={text.segments.notStarted} />}
    </div>
  );
}
