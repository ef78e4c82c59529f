/** What can be done with a segment: its members scored as a file, its definition changed, or deleted. */

import { useState } from "preact/hooks";
import { deleteSegment } from "../../api";
import { Dialog } from "../../parts/dialog";
import { NotDone } from "../../parts/states";
import { address, go } from "../../route";
import { may } from "../../session";
import { text } from "../../text";
import { ScoreAsFile } from "./ScoreAsFile";

export function Actions({ id, name }: { id: string; name: string }) {
  const [asked, ask] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const remove = async () => {
    setBusy(true);
    setError(null);
    try {
      await deleteSegment(id);
      go(address(["segments"]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <div class="actions">
      <ScoreAsFile body={{ type: "all", segment_id: id, format: "csv" }} label={text.segments.export} />
      {may("loyalty/segments") && (
        <>
          <a class="button" href={address(["segments", id], { edit: "1" })}>
            {text.segments.edit}
          </a>
          <button type="button" class="quiet" onClick={() => ask(true)}>
            {text.segments.remove}
          </button>
        </>
      )}
      {asked && (
        <Dialog
          danger
          title={text.segments.deleteConfirm(name)}
          action={text.segments.remove}
          busy={busy}
          onAct={() => void remove()}
          onClose={() => ask(false)}
        >
          <p>{text.segments.deleteEffect}</p>
          {error !== null && <NotDone error={error} title={text.segments.notDeleted} />}
        </Dialog>
      )}
    </div>
  );
}
