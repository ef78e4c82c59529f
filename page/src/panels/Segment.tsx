/** One segment: its risk as pictures, why it moved, who is missing, and what to do with it. */

import { useState } from "preact/hooks";
import { deleteSegment, getCard, getSegment, getStatistics, may, previewSegment, type Schemas, startJob } from "../api";
import * as format from "../format";
import { Dialog } from "../parts/dialog";
import { lazy } from "../parts/lazy";
import { useResource } from "../parts/resource";
import { BANDS, BandBar, Risk } from "../parts/risk";
import { Failed, Loading, Note } from "../parts/states";
import { Table } from "../parts/table";
import { churnQuality } from "../quality";
import { address, go } from "../route";
import { text } from "../text";
import { BestFor } from "./BestFor";
import { RfmMap } from "./RfmMap";
import { Spread } from "./Spread";

const Chart = lazy(() => import("../parts/chart"));
const TOO_FEW = 100;
const HISTORY = 400;
const FIRST = 6;

type Stats = Schemas["SegmentStatsAnswer"];
type Definition = Schemas["SegmentDefinitionAnswer"];

export function Segment({ id }: { id: string }) {
  const definition = useResource(async (signal) => (await getSegment(id, signal)).answer, [id]);
  const stats = useResource((signal) => getStatistics(id, HISTORY, signal), [id]);
  const name = definition.value?.segment_name ?? id;
  return (
    <>
      <div class="heading with-action">
        <div>
          <p>
            <a href={address(["segments"])}>{text.segments.back}</a>
          </p>
          <h1>
            <bdi>{name}</bdi>
          </h1>
          {stats.value && (
            <p>
              {text.predict.customers(stats.value.member_count)}.{" "}
              {text.segments.asOf(format.date(stats.value.features_as_of))}
            </p>
          )}
        </div>
        {definition.value && <Actions id={id} name={name} />}
      </div>
      {definition.state === "failed" && <Failed error={definition.error} onReload={definition.reload} />}
      {stats.state === "failed" && definition.state !== "failed" && (
        <Failed error={stats.error} onReload={stats.reload} />
      )}
      {stats.state === "loading" && !stats.value && <Loading />}
      {stats.value && definition.value && <Shown id={id} stats={stats.value} definition={definition.value} />}
    </>
  );
}

function Shown({ id, stats, definition }: { id: string; stats: Stats; definition: Definition }) {
  const { segment_id: _, version: __, updated: ___, ...plain } = definition;
  const preview = useResource(
    (signal) => previewSegment(plain as Schemas["SegmentDefinition"], signal),
    [id, definition.version],
  );
  const churn = stats.models["churn"];
  const card = useResource(
    async (signal) => (churn && churn.version !== "mock" ? await getCard("churn", churn.version, signal) : null),
    [churn?.version],
  );
  const nbo = stats.models["nbo"];
  const offers = useResource(
    async (signal) =>
      nbo && nbo.version !== "mock"
        ? (await getCard("nbo", nbo.version, signal)).offers.map((offer) => ({
            code: String(offer["offer_code"]),
            name: String(offer["offer_name"]),
          }))
        : [],
    [nbo?.version],
  );
  return (
    <>
      {stats.mock && (
        <Note tone="warning" title={text.banner.mockTitle}>
          <p>{text.banner.mockWhat}</p>
        </Note>
      )}
      {stats.message && (
        <Note tone="info" title={text.segments.message}>
          <p>{stats.message}</p>
        </Note>
      )}
      {stats.member_count > 0 && stats.member_count < TOO_FEW && (
        <Note tone="info">
          <p>{text.segments.tooFew(stats.member_count)}</p>
        </Note>
      )}
      <div class="cards two">
        <Bands stats={stats} />
        <Missing stats={stats} />
      </div>
      <section class="card">
        <h2>{text.segments.spread}</h2>
        {preview.state === "failed" && <Failed error={preview.error} onReload={preview.reload} />}
        {preview.state === "loading" && <Loading />}
        {preview.value && (
          <Spread
            id={id}
            name={definition.segment_name}
            bins={preview.value.bins}
            quality={card.value ? churnQuality(card.value) : null}
          />
        )}
      </section>
      <div class="cards two">
        <section class="card">
          <h2>{text.segments.map}</h2>
          <p class="small">{text.segments.mapLead}</p>
          {preview.value ? <RfmMap cells={preview.value.rfm} /> : preview.state === "loading" && <Loading />}
        </section>
        <section class="card">
          <h2>{text.segments.offers}</h2>
          <p class="small">{text.segments.offersLead}</p>
          <Distribution counts={stats.stats.nbo.distribution} />
          <BestFor key={nbo?.version ?? ""} id={id} offers={offers.value ?? []} />
        </section>
      </div>
      <Moved stats={stats} />
      <Drift drift={stats.drift.all_customers} />
      <section class="card">
        <h2>{text.segments.definition}</h2>
        <p>{text.segments.kinds[kindOf(definition)]}</p>
        <details>
          <summary>{text.segments.definitionJson}</summary>
          <pre tabIndex={0}>{JSON.stringify(plain, null, 2)}</pre>
        </details>
      </section>
    </>
  );
}

function kindOf(definition: Definition): string {
  return Object.keys(text.segments.kinds).find((kind) => kind in definition) ?? "rule";
}

function Actions({ id, name }: { id: string; name: string }) {
  const [asked, ask] = useState(false);
  const [state, setState] = useState<"idle" | "busy" | "started">("idle");
  const [error, setError] = useState<unknown>(null);
  const attempt = async (work: () => Promise<void>) => {
    setState("busy");
    setError(null);
    try {
      await work();
    } catch (problem) {
      setError(problem);
      setState("idle");
    }
  };
  const score = () =>
    attempt(async () => {
      await startJob({ type: "all", segment_id: id });
      setState("started");
    });
  const remove = () =>
    attempt(async () => {
      await deleteSegment(id);
      go(address(["segments"]));
    });
  return (
    <div>
      <div class="actions">
        {may("loyalty/predict") && (
          <button
            type="button"
            disabled={state === "busy"}
            title={text.segments.exportHint}
            onClick={() => void score()}
          >
            {text.segments.export}
          </button>
        )}
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
      </div>
      {state === "started" && (
        <p class="small" role="status">
          {text.segments.exported} <a href={address(["files"])}>{text.panels.files}</a>
        </p>
      )}
      {error !== null && !asked && <Failed error={error} />}
      {asked && (
        <Dialog
          danger
          title={text.segments.deleteConfirm(name)}
          action={text.segments.remove}
          busy={state === "busy"}
          onAct={() => void remove()}
          onClose={() => ask(false)}
        >
          <p>{text.segments.deleteEffect}</p>
          {error !== null && <Failed error={error} />}
        </Dialog>
      )}
    </div>
  );
}

function Bands({ stats }: { stats: Stats }) {
  const { churn } = stats.stats;
  const of = churn as unknown as Record<string, number | null | undefined>;
  const counts = BANDS.flatMap((band) => (typeof of[band] === "number" ? [{ band, count: of[band] }] : []));
  return (
    <section class="card">
      <h2>{text.segments.bands}</h2>
      <p class="small">{text.segments.bandsLead(churn.count)}</p>
      <BandBar counts={counts} />
      <dl class="facts wide">
        {counts.map(({ band, count }) => (
          <div key={band}>
            <dt>
              <Risk band={band} />
            </dt>
            <dd>
              {format.count(count)}
              {churn.count > 0 && <span class="small"> {format.share(count / churn.count)}</span>}
            </dd>
          </div>
        ))}
        <div>
          <dt>{text.segments.average}</dt>
          <dd>{churn.avg_probability === null ? "–" : format.share(churn.avg_probability)}</dd>
        </div>
        {typeof of["avg_probability_active"] === "number" && (
          <div>
            <dt>{text.segments.averageActive}</dt>
            <dd>{format.share(of["avg_probability_active"])}</dd>
          </div>
        )}
      </dl>
    </section>
  );
}

/** Answered and not, which add up to all members. */
function Missing({ stats }: { stats: Stats }) {
  const types = (["churn", "nbo", "rfm"] as const).map((type) => ({ type, ...stats.stats[type] }));
  return (
    <section class="card">
      <h2>{text.segments.missing}</h2>
      <p class="small">{text.segments.missingLead(stats.member_count)}</p>
      <Table
        caption={text.segments.missing}
        rows={types}
        rowKey={(row) => row.type}
        columns={[
          { key: "type", title: text.predict.type, cell: (row) => text.models[row.type] },
          { key: "count", title: text.segments.answered, numeric: true, cell: (row) => format.count(row.count) },
          { key: "failed", title: text.segments.unanswered, numeric: true, cell: (row) => format.count(row.failed) },
          { key: "sum", title: text.segments.sum, numeric: true, cell: (row) => format.count(row.count + row.failed) },
        ]}
      />
      <p class="small">{text.segments.missingWhy}</p>
    </section>
  );
}

function Distribution({ counts }: { counts: Record<string, number> }) {
  const rows = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...rows.map(([, count]) => count));
  return (
    <ul class="distribution">
      {rows.map(([name, count]) => (
        <li key={name}>
          <span>
            <bdi>{name}</bdi>
          </span>
          <span class="bar plain" aria-hidden="true">
            <span style={{ width: `${(100 * count) / most}%` }} />
          </span>
          <span class="number">{format.count(count)}</span>
        </li>
      ))}
    </ul>
  );
}

const CAUSES = ["customers", "model", "definition", "inseparable", "total"] as const;

function Moved({ stats }: { stats: Stats }) {
  const { history } = stats;
  const last = history.at(-1)?.change;
  const points = (value: number | null | undefined, scale = 1) =>
    value === null || value === undefined ? "–" : format.change(scale * value);
  return (
    <section class="card">
      <h2>{text.segments.moved}</h2>
      {!last && <p>{text.segments.firstMeasured}</p>}
      {last && (
        <>
          <p class="small">{text.segments.movedLead}</p>
          <Table
            caption={text.segments.moved}
            rows={CAUSES.flatMap((cause) => {
              const moved = last[cause];
              return moved ? [{ cause, moved }] : [];
            })}
            rowKey={(row) => row.cause}
            columns={[
              { key: "cause", title: text.segments.cause, cell: (row) => text.segments.causes[row.cause] },
              {
                key: "members",
                title: text.segments.memberChange,
                numeric: true,
                cell: (row) => points(row.moved.member_count),
              },
              {
                key: "average",
                title: text.segments.averageChange,
                numeric: true,
                cell: (row) => points(row.moved.avg_probability, 100),
              },
              {
                key: "high",
                title: text.segments.highChange,
                numeric: true,
                cell: (row) => points(row.moved.high_percentage),
              },
            ]}
          />
        </>
      )}
      {history.length > 1 && (
        <>
          <Chart
            times={history.map((entry) => Date.parse(entry.features_as_of) / 1000)}
            series={[
              {
                label: text.segments.average,
                color: "--accent",
                values: history.map((entry) => entry.stats.churn.avg_probability),
              },
              {
                label: text.risk.high,
                color: "--high",
                values: history.map(({ stats: { churn } }) =>
                  churn.high_percentage === null ? null : churn.high_percentage / 100,
                ),
              },
            ]}
          />
          <ul class="legend">
            <li class="line accent">{text.segments.average}</li>
            <li class="line high">{text.segments.highShare}</li>
          </ul>
          <details>
            <summary>{text.segments.numbers}</summary>
            <Table
              caption={text.segments.numbers}
              rows={[...history].reverse()}
              rowKey={(row) => row.snapshot}
              columns={[
                { key: "as_of", title: text.segments.snapshot, cell: (row) => format.date(row.features_as_of) },
                {
                  key: "members",
                  title: text.segments.members,
                  numeric: true,
                  cell: (row) => format.count(row.member_count),
                },
                {
                  key: "average",
                  title: text.segments.average,
                  numeric: true,
                  cell: ({ stats: { churn } }) =>
                    churn.avg_probability === null ? "–" : format.share(churn.avg_probability),
                },
              ]}
            />
          </details>
        </>
      )}
    </section>
  );
}

function Drift({ drift }: { drift: Stats["drift"]["all_customers"] }) {
  const rows: DriftRow[] = Object.entries(drift).flatMap(([model, found]) => [
    { model, feature: text.segments.score, ...found.score },
    ...Object.entries(found.features).map(([feature, each]) => ({ model, feature, ...each })),
  ]);
  rows.sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1));
  return (
    <section class="card">
      <h2>{text.segments.drift}</h2>
      {rows.length === 0 && <p>{text.segments.noDrift}</p>}
      {rows.length > 0 && (
        <>
          <p class="small">{text.segments.driftLead}</p>
          <DriftTable rows={rows.slice(0, FIRST)} />
          {rows.length > FIRST && (
            <details>
              <summary>{text.segments.driftRest(rows.length - FIRST)}</summary>
              <DriftTable rows={rows.slice(FIRST)} />
            </details>
          )}
        </>
      )}
    </section>
  );
}

type DriftRow = Schemas["Drift"] & { model: string; feature: string };

function DriftTable({ rows }: { rows: DriftRow[] }) {
  return (
    <Table
      caption={text.segments.drift}
      rows={rows}
      rowKey={(row) => `${row.model} ${row.feature}`}
      columns={[
        {
          key: "model",
          title: text.segments.model,
          by: (row) => row.model,
          cell: (row) => text.models[row.model] ?? row.model,
        },
        { key: "feature", title: text.segments.feature, by: (row) => row.feature, cell: (row) => row.feature },
        {
          key: "band",
          title: text.segments.drifted,
          cell: (row) => (
            <span
              class={`mark ${{ stable: "good", moderate: "warning", significant: "danger", too_few: "" }[row.band]}`}
            >
              {text.segments.driftBands[row.band]}
            </span>
          ),
        },
        {
          key: "psi",
          title: text.segments.psi,
          numeric: true,
          by: (row) => row.psi,
          cell: (row) => (row.psi === null ? "–" : format.figure(row.psi)),
        },
      ]}
    />
  );
}
