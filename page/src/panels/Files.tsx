import { signal } from "@preact/signals";
import { useEffect, useId, useState } from "preact/hooks";
import { getJob, listJobs, may, pause, readStart, type Schemas, startJob, upload } from "../api";
import { fromCsv, save } from "../csv";
import { formatOf, isOver, SAMPLE, shareOf } from "../files";
import * as format from "../format";
import { useResource } from "../parts/resource";
import { Empty, Failed, Loading, Note } from "../parts/states";
import { Table } from "../parts/table";
import { address, route } from "../route";
import { text } from "../text";

type Type = Schemas["JobRequest"]["type"];
type Sending = { name: string; share: number; stop: AbortController };

// An upload goes on while another panel is looked at.
const sending = signal<Sending | null>(null);
const sent = signal<string | null>(null);
/** What the files were called that were sent from here; the service knows them by their keys. */
const names = signal<Record<string, string>>({});
const problem = signal<{ error?: unknown; sentence?: string } | null>(null);

const EVERY_MILLISECONDS = 2000;
const FIRST_ERRORS = 10;
const ORDER = ["predictions", "errors", "summary"];
const ERRORS_BYTES = 16_384;

async function send(file: File, type: Type): Promise<void> {
  const as = formatOf(file.name);
  problem.value = null;
  sent.value = null;
  if (!as || file.size === 0) {
    problem.value = { sentence: as ? text.files.emptyFile(file.name) : text.files.unknownFormat(file.name) };
    return;
  }
  const stop = new AbortController();
  sending.value = { name: file.name, share: 0, stop };
  try {
    const job = (await startJob({ type, format: as })) as Schemas["UploadAwaited"];
    await upload(job.upload, file, (share) => (sending.value = { name: file.name, share, stop }), stop.signal);
    names.value = { ...names.value, [job.job_id]: file.name };
    sent.value = job.job_id;
  } catch (error) {
    if (!stop.signal.aborted) problem.value = { error };
  } finally {
    sending.value = null;
  }
}

/** #/files, or one job: #/files/JOB. */
export function Files() {
  const id = route.value.path[1];
  return (
    <>
      <div class="heading">
        {id && (
          <p>
            <a href={address(["files"])}>{text.files.jobs}</a>
          </p>
        )}
        <h1>{id ? text.files.job : text.files.title}</h1>
        {!id && <p>{text.files.lead}</p>}
      </div>
      {id ? (
        <section class="card">
          <OneJob id={id} />
        </section>
      ) : (
        <>
          {may("loyalty/predict") && <Drop />}
          <Jobs />
          <Formats />
        </>
      )}
    </>
  );
}

function Drop() {
  const [over, setOver] = useState(false);
  const [type, setType] = useState<Type>("all");
  const name = useId();
  const take = (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file) void send(file, type);
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
            accept=".csv,.gz,.jsonl,.parquet"
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
      {problem.value?.error !== undefined && <Failed error={problem.value.error} />}
    </section>
  );
}

function Jobs() {
  const after = route.value.query.get("after");
  const jobs = useResource((stop) => listJobs(after, stop), [after, sent.value]);
  const open = jobs.value?.jobs.some(
    (job) => !isOver(job) && (job.status !== "awaiting_upload" || job.job_id === sent.value),
  );
  useEffect(() => {
    if (!open || jobs.state !== "ready") return undefined;
    const stop = new AbortController();
    pause(EVERY_MILLISECONDS, stop.signal).then(jobs.reload, () => null);
    return () => stop.abort();
  }, [open, jobs.state, jobs.value]);
  return (
    <section class="card">
      <header>
        <h2>{text.files.jobs}</h2>
        <button type="button" class="quiet" onClick={jobs.reload}>
          {text.files.refresh}
        </button>
      </header>
      {jobs.state === "failed" && <Failed error={jobs.error} onReload={jobs.reload} />}
      {jobs.state === "loading" && !jobs.value && <Loading />}
      {jobs.value &&
        (jobs.value.jobs.length ? (
          <Table
            caption={text.files.jobs}
            rows={jobs.value.jobs}
            rowKey={(row) => row.job_id}
            columns={[
              {
                key: "what",
                title: text.files.job,
                cell: (row) => (
                  <a href={address(["files", row.job_id])}>
                    <bdi>{nameOf(row)}</bdi>
                  </a>
                ),
              },
              {
                key: "type",
                title: text.files.type,
                cell: (row) => text.predict.types[String(row.request["type"])] ?? "",
              },
              {
                key: "status",
                title: text.files.status,
                by: (row) => row.status,
                cell: (row) => <Status status={row.status} />,
              },
              {
                key: "progress",
                title: text.files.rows,
                numeric: true,
                by: (row) => row.progress.processed,
                cell: (row) => format.count(row.progress.processed),
              },
              {
                key: "errors",
                title: text.files.errors,
                numeric: true,
                by: (row) => row.progress.errors ?? 0,
                cell: (row) => format.count(row.progress.errors ?? 0),
              },
              {
                key: "created",
                title: text.files.started,
                by: (row) => row.created,
                cell: (row) => <time dateTime={row.created}>{format.time(row.created)}</time>,
              },
            ]}
          />
        ) : (
          <Empty title={text.files.empty}>
            <p>{text.files.emptyWhat}</p>
          </Empty>
        ))}
      <div class="pages">
        {after && <a href={address(["files"])}>{text.files.newest}</a>}
        {jobs.value?.next && <a href={address(["files"], { after: jobs.value.next })}>{text.files.older}</a>}
      </div>
    </section>
  );
}

function nameOf({ job_id, request }: Pick<Schemas["JobListed"], "job_id" | "request">): string {
  return names.value[job_id] ?? text.files.what(request).replace(/^.*\/(?=.)/u, "");
}

function Status({ status }: { status: string }) {
  const tone = { succeeded: "good", failed: "danger", running: "warning" }[status] ?? "";
  return <span class={`mark ${tone}`}>{text.files.statuses[status] ?? status}</span>;
}

function OneJob({ id }: { id: string }) {
  const job = useResource((stop) => getJob(id, stop), [id]);
  const over = job.value !== null && isOver(job.value);
  useEffect(() => {
    if (over || job.state !== "ready") return undefined;
    const stop = new AbortController();
    pause(EVERY_MILLISECONDS, stop.signal).then(job.reload, () => null);
    return () => stop.abort();
  }, [over, job.state, job.value]);
  if (job.state === "failed") return <Failed error={job.error} onReload={job.reload} />;
  if (!job.value) return <Loading />;
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
            <dt>{text.files.progress}</dt>
            <dd>{text.files.rate(Math.round(progress.rate))}</dd>
          </div>
        ) : null}
        <div>
          <dt>{text.files.started}</dt>
          <dd>{format.time(shown.created)}</dd>
        </div>
      </dl>
      {shown.error && (
        <Note tone="danger">
          <p>{shown.error}</p>
        </Note>
      )}
      {results && (
        <>
          <div class="actions start">
            {Object.entries(results)
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
    </>
  );
}

function FirstErrors({ url }: { url: string }) {
  const start = useResource(() => readStart(url, ERRORS_BYTES), [url]);
  if (start.state === "failed") return <Failed error={start.error} onReload={start.reload} />;
  if (start.value === null) return <Loading />;
  const [header = [], ...rows] = fromCsv(start.value, start.value.length < ERRORS_BYTES);
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

function Formats() {
  return (
    <section class="card">
      <h2>{text.files.formats}</h2>
      <p>{text.files.formatsLead}</p>
      <Table
        caption={text.files.formats}
        rows={text.files.formatRows}
        rowKey={(row) => row.name}
        columns={[
          { key: "name", title: text.files.format, cell: (row) => <span class="code">{row.name}</span> },
          { key: "what", title: text.files.looksLike, cell: (row) => row.what },
        ]}
      />
      <div class="actions start">
        <button type="button" onClick={() => save("customers.csv", SAMPLE, "text/csv")}>
          {text.files.sample}
        </button>
      </div>
    </section>
  );
}
