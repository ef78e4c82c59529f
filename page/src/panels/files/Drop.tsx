/** Where a file is dropped or chosen, and how far its upload is. */

import { useId, useState } from "preact/hooks";
import * as format from "../../format";
import { Failed, Note } from "../../parts/states";
import { text } from "../../text";
import { problem, send, sending, sent, type Type } from "./upload";

export function Drop() {
  const [over, setOver] = useState(false);
  const [type, setType] = useState<Type>("all");
  const [keep, setKeep] = useState(false);
  const name = useId();
  const take = (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file) void send(file, type, keep);
  };
  return (
    <section class="card">
      <fieldset class="toggle">
        <legend>{text.files.type}</legend>
        {(["churn", "nbo", "rfm", "all"] as const).map((each) => (
          <label key={each}>
            <input type="radio" name={name} checked={type === each} onChange={() => setType(each)} />
            <span>{text.predict.types[each]}</span>
          </label>
        ))}
      </fieldset>
      <div>
        <label>
          <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} />{" "}
          {text.files.keep}
        </label>
        <p class="small">{text.files.keepHint}</p>
      </div>
      <div
        class={over ? "drop over" : "drop"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer?.files);
        }}
      >
        <p class="word">{text.files.drop}</p>
        <p class="small">{text.files.dropHint}</p>
        <label>
          <input
            type="file"
            disabled={sending.value !== null}
            onChange={(event) => {
              take(event.currentTarget.files);
              event.currentTarget.value = "";
            }}
          />
          <span class="button primary">{text.files.choose}</span>
        </label>
      </div>
      {sending.value && (
        <div role="status">
          <p>
            {text.files.uploading(sending.value.name)} {format.share(sending.value.share)}
          </p>
          <progress value={sending.value.share} aria-label={text.files.uploading(sending.value.name)} />
          <button type="button" class="quiet" onClick={() => sending.value?.stop.abort()}>
            {text.cancel}
          </button>
        </div>
      )}
      {sent.value && (
        <Note tone="good">
          <p>{text.files.sent}</p>
        </Note>
      )}
      {problem.value?.sentence && (
        <Note tone="danger">
          <p>{problem.value.sentence}</p>
        </Note>
      )}
      {problem.value?.error !== undefined && <Failed error={problem.value.error} title={text.files.notSent} />}
    </section>
  );
}
