/** One job: how far it is, what came of it, and its first errors. */

import { useEffect, useState } from "preact/hooks";
import { deleteJob, getJob, pause, readStart } from "../../api";
import { fromCsv } from "../../csv";
import { isOver, shareOf } from "../../files";
import * as format from "../../format";
import { Dialog } from "../../parts/dialog";
import { useResource } from "../../parts/resource";
import { Failed, Loading, NotDone, Note } from "../../parts/states";
import { Table } from "../../parts/table";
import { address, go } from "../../route";
import { may } from "../../session";
import { text } from "../../text";
import { AFTER_FAILURE_MILLISECONDS, EVERY_MILLISECONDS, nameOf, Status } from "./status";
import { forget } from "./upload";

const FIRST_ERRORS = 10;
const ORDER = ["predictions", "errors", "summary"];
const ERRORS_BYTES = 16_384;

export function Job({ id }: { id: string }) {
  const job = useResource((stop) => getJob(id, stop), [id]);
  const over = job.value !== null && isOver(job.value);
  useEffect(() => {
    // After a failure too: the service may be back, and what was known stays shown.
    if (over || job.state === "loading" || !job.value) return undefined;
    const stop = new AbortController();
    pause(job.state === "failed" ? AFTER_FAILURE_MILLISECONDS : EVERY_MILLISECONDS, stop.signal).then(
      job.reload,
      () => null,
    );
    return () => stop.abort();
  }, [over, job.state, job.value]);
  if (job.state === "failed" && !job.value) return <Failed error={job.error} onReload={job.reload} />;
  if (!job.value) return <Loading onCancel={job.cancel} />;
  const shown = job.value;
  const { progress, results } = shown;
  const done = shareOf(shown);
  return (
    <>
      <header>
        <h2>
          <bdi>{nameOf(shown)}</bdi>
        </h2>
        <Status status={shown.status} />
      </header>
      {job.state === "failed" && <Failed error={job.error} onReload={job.reload} />}
      {!over && <progress {...(done === null ? {} : { value: done })} aria-label={text.files.progress} />}
      <dl class="facts wide">
        <div>
          <dt>{text.files.rows}</dt>
          <dd>{text.files.ofTotal(progress.processed, progress.total)}</dd>
        </div>
        <div>
          <dt>{text.files.errors}</dt>
          <dd>{format.count(progress.errors ?? 0)}</dd>
        </div>
        {progress.rate ? (
          <div>
            <dt>{text.files.speed}</dt>
            <dd>{text.files.rate(Math.round(progress.rate))}</dd>
          </div>
        ) : null}
        <div>
          <dt>{text.files.started}</dt>
          <dd>{format.time(shown.created)}</dd>
        </div>
      </dl>
      {shown.error && (
        <Note tone={shown.status === "partly_failed" ? "warning" : "danger"}>
          <p>
            {shown.error} {shown.code && <span class="code">{shown.code}</span>}
          </p>
        </Note>
      )}
      {results && (
        <>
          <div class="actions start">
            {Object.entries(results)
              .filter(([name]) => name !== "errors" || (progress.errors ?? 0) > 0)
              .sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b))
              .map(([name, file]) => (
                <a key={name} class={name === "predictions" ? "button primary" : "button"} href={file.url} download>
                  {text.files.download(name)}
                </a>
              ))}
          </div>
          <p class="small">{text.files.linksExpire}</p>
          {results["errors"] && (progress.errors ?? 0) > 0 && <FirstErrors url={results["errors"].url} />}
        </>
      )}
      {may("loyalty/predict") && <Remove id={id} name={nameOf(shown)} over={over} />}
    </>
  );
}

/** Stops a job that is not over, and removes it with what it made. */
function Remove({ id, name, over }: { id: string; name: string; over: boolean }) {
  const [asked, ask] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const remove = async () => {
    setBusy(true);
    setError(null);
    try {
      await deleteJob(id);
      forget(id);
      go(address(["files"]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const label = over ? text.files.remove : text.files.stop;
  return (
    <>
      <div class="actions start">
        <button type="button" class="quiet" onClick={() => ask(true)}>
          {label}
        </button>
      </div>
      {asked && (
        <Dialog
          title={over ? text.files.removeAsked(name) : text.files.stopAsked(name)}
          action={label}
          danger
          busy={busy}
          onAct={() => void remove()}
          onClose={() => ask(false)}
        >
          <p>{over ? text.files.removeEffect : text.files.stopEffect}</p>
          {error !== null && <NotDone error={error} title={text.files.notRemoved} />}
        </Dialog>
      )}
    </>
  );
}

function FirstErrors({ url }: { url: string }) {
  const start = useResource(() => readStart(url, ERRORS_BYTES), [url]);
  if (start.state === "failed") return <Failed error={start.error} onReload={start.reload} />;
  if (start.value === null) return <Loading />;
  const [header = [], ...rows] = fromCsv(start.value.text, start.value.whole);
  return (
    <>
      <h3>{text.files.firstErrors}</h3>
      <Table
        caption={text.files.firstErrors}
        rows={rows.slice(0, FIRST_ERRORS)}
        rowKey={(row) => row.join("\n")}
        columns={header.map((title, place) => ({
          key: title,
          title: text.files.columns[title] ?? title,
          cell: (row: string[]) => <bdi>{row[place]}</bdi>,
        }))}
      />
    </>
  );
}
