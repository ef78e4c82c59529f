/** The jobs, newest first, a page at a time. */

import { useEffect } from "preact/hooks";
import { listJobs, pause } from "../../api";
import { isOver } from "../../files";
import * as format from "../../format";
import { useResource } from "../../parts/resource";
import { Empty, Failed, Loading } from "../../parts/states";
import { Table } from "../../parts/table";
import { address, route } from "../../route";
import { may } from "../../session";
import { text } from "../../text";
import { AFTER_FAILURE_MILLISECONDS, EVERY_MILLISECONDS, nameOf, Status } from "./status";
import { isSent, sentCount } from "./upload";

export function Jobs() {
  const after = route.value.query.get("after");
  const jobs = useResource((stop) => listJobs(after, stop), [after, sentCount.value]);
  const open = jobs.value?.jobs.some((job) => !isOver(job) && (job.status !== "awaiting_upload" || isSent(job.job_id)));
  useEffect(() => {
    if (!open || jobs.state === "loading") return undefined;
    const stop = new AbortController();
    pause(jobs.state === "failed" ? AFTER_FAILURE_MILLISECONDS : EVERY_MILLISECONDS, stop.signal).then(
      jobs.reload,
      () => null,
    );
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
      {jobs.state === "loading" && !jobs.value && <Loading onCancel={jobs.cancel} />}
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
                  <>
                    <a href={address(["files", row.job_id])}>
                      <bdi>{nameOf(row)}</bdi>
                    </a>
                    {row.error && (
                      <p class="problem">
                        <bdi>{row.error}</bdi> {row.code && <span class="code">{row.code}</span>}
                      </p>
                    )}
                  </>
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
            <p>
              {may("loyalty/predict") && text.files.emptyDrop} {text.files.emptyWhat}
            </p>
          </Empty>
        ))}
      <div class="pages">
        {after && <a href={address(["files"])}>{text.files.newest}</a>}
        {jobs.value?.next && <a href={address(["files"], { after: jobs.value.next })}>{text.files.older}</a>}
      </div>
    </section>
  );
}
