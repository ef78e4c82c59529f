/** Where files are dropped or chosen, and how far their uploads are. */

import { useId, useState } from "preact/hooks";
import * as format from "../../format";
import { Failed, Note } from "../../parts/states";
import { address } from "../../route";
import type { Asked } from "../../schemas";
import { text } from "../../text";
import { again, cancel, send, type Upload, uploads } from "./upload";

export function Drop() {
  const [over, setOver] = useState(false);
  const [type, setType] = useState<Asked>("all");
  const [keep, setKeep] = useState(false);
  const name = useId();
  const take = (files: FileList | null | undefined) => {
    if (files?.length) send([...files], type, keep);
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
            multiple
            onChange={(event) => {
              take(event.currentTarget.files);
              event.currentTarget.value = "";
            }}
          />
          <span class="button primary">{text.files.choose}</span>
        </label>
      </div>
      {uploads.value
        .filter((each) => each.state !== "sent")
        .map((each, place) => (
          <Progress key={place} upload={each} />
        ))}
      {uploads.value
        .filter((each) => each.state === "sent")
        .map((each) => (
          <Note key={each.job} tone="good">
            <p>
              {text.files.sent(each.file.name)} <a href={address(["files", each.job])}>{text.segments.exportedJob}</a>
            </p>
          </Note>
        ))}
    </section>
  );
}

function Progress({ upload }: { upload: Upload }) {
  const { file, share, state } = upload;
  if (state === "refused") {
    return (
      <Note tone="danger">
        <p>{upload.sentence}</p>
      </Note>
    );
  }
  if (state === "failed") {
    return <Failed error={upload.error} title={text.files.notSent(file.name)} onReload={() => again(upload)} />;
  }
  return (
    <div role="status">
      <p>
        {text.files.uploading(file.name)} {format.share(share)}
      </p>
      <progress value={share} aria-label={text.files.uploading(file.name)} />
      <button type="button" class="quiet" aria-label={text.files.cancel(file.name)} onClick={() => cancel(upload)}>
        {text.cancel}
      </button>
    </div>
  );
}
