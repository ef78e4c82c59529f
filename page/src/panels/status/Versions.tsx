/** The versions of each model side by side; one is made active, or the set before is, once that was confirmed. */

import { useState } from "preact/hooks";
import { ApiError, promote, rollback } from "../../api";
import * as format from "../../format";
import { nameOf } from "../../parts/banner";
import { Dialog } from "../../parts/dialog";
import { Empty, NotDone, Note } from "../../parts/states";
import { type Column, Table } from "../../parts/table";
import { address } from "../../route";
import type { Schemas } from "../../schemas";
import { may } from "../../session";
import { text } from "../../text";

type Models = Schemas["ModelListAnswer"];
type Version = Schemas["ModelVersion"];
type Change = { name: string; version: string } | "rollback";

const METRICS = 4;

interface Props {
  models: Models;
  /** Whether the service still answers from another set than the active one. */
  behind: boolean;
  onChange: () => void;
}

export function Versions({ models, behind, onChange }: Props) {
  const [asked, ask] = useState<Change | null>(null);
  const [done, setDone] = useState<Schemas["ModelChangeAnswer"] | null>(null);
  const allowed = may("loyalty/models");
  const begin = (change: Change) => {
    setDone(null);
    ask(change);
  };
  const back = models.previous[0];
  return (
    <section class="card">
      <header>
        <div>
          <h2>{text.versions.title}</h2>
          <p class="small">{text.versions.lead}</p>
        </div>
        {allowed && (
          <button type="button" disabled={!back} onClick={() => begin("rollback")}>
            {text.versions.rollback}
          </button>
        )}
      </header>
      <p class="small">
        {back ? text.versions.rollbackTo(format.time(back.created)) : text.versions.noRollback}{" "}
        {!allowed && text.versions.noScope}
      </p>
      {done && (
        <Note tone="good">
          <p>{done.changed ? text.versions.done(members(done.active)) : text.versions.unchanged}</p>
        </Note>
      )}
      {behind && (
        <Note tone="info">
          <p>{text.versions.takingUp}</p>
        </Note>
      )}
      {Object.entries(models.models).map(([name, model]) => (
        <OfModel
          key={name}
          name={name}
          model={model}
          {...(allowed ? { onUse: (version: string) => begin({ name, version }) } : {})}
        />
      ))}
      {asked && (
        <Confirm
          models={models}
          change={asked}
          onClose={() => ask(null)}
          onDone={(answer) => {
            ask(null);
            setDone(answer);
            onChange();
          }}
          onStale={onChange}
        />
      )}
    </section>
  );
}

function OfModel({
  name,
  model,
  onUse,
}: {
  name: string;
  model: Schemas["ModelVersions"];
  onUse?: (version: string) => void;
}) {
  const measured = model.versions.filter((version) => !version.placeholder);
  const metrics = [...new Set(measured.flatMap((version) => Object.keys(version.metrics).slice(0, METRICS)))];
  const figureOf = ({ placeholder, metrics: figures }: Version, metric: string) =>
    placeholder ? null : (figures[metric] ?? null);
  const columns: Column<Version>[] = [
    {
      key: "version",
      title: text.versions.version,
      by: (row) => row.version,
      cell: (row) => (
        <a class="code" href={address(["status", name, row.version])}>
          {row.version}
        </a>
      ),
    },
    {
      key: "created",
      title: text.versions.created,
      by: (row) => row.created,
      cell: (row) => (row.created ? <time dateTime={row.created}>{format.date(row.created)}</time> : text.unknown),
    },
    {
      key: "rows",
      title: text.versions.rows,
      numeric: true,
      by: (row) => row.training?.rows ?? null,
      cell: (row) => (row.training ? format.count(row.training.rows) : "–"),
    },
    ...metrics.map(
      (metric): Column<Version> => ({
        key: metric,
        title: text.report.nameOf(metric),
        numeric: true,
        by: (row) => figureOf(row, metric),
        cell: (row) => {
          const figure = figureOf(row, metric);
          return figure === null ? "–" : format.decimals(figure);
        },
      }),
    ),
    { key: "state", title: text.versions.state, cell: (row) => <State version={row} /> },
    ...(onUse
      ? [
          {
            key: "use",
            title: text.versions.action,
            cell: (row: Version) =>
              row.active || row.problem ? null : (
                <button
                  type="button"
                  class="quiet"
                  aria-label={text.versions.useOf(name, row.version)}
                  onClick={() => onUse(row.version)}
                >
                  {text.versions.use}
                </button>
              ),
          },
        ]
      : []),
  ];
  const hidden = model.total - model.versions.length;
  return (
    <>
      <h3>{nameOf(name)}</h3>
      {model.versions.length === 0 ? (
        <Empty title={text.versions.empty}>
          <p>{text.versions.emptyWhat}</p>
        </Empty>
      ) : (
        <Table
          caption={`${nameOf(name)}: ${text.versions.title}`}
          columns={columns}
          rows={model.versions}
          rowKey={(row) => row.version}
        />
      )}
      {measured.length < model.versions.length && <p class="small">{text.versions.placeholderFigures}</p>}
      {hidden > 0 && <p class="small">{text.versions.more(hidden)}</p>}
    </>
  );
}

function State({ version }: { version: Version }) {
  return (
    <span class="marks">
      {version.active && <span class="mark good">{text.versions.active}</span>}
      {version.placeholder && <span class="mark warning">{text.versions.placeholder}</span>}
      {version.forced && (
        <span class="mark warning" title={version.forced}>
          {text.versions.forced}
        </span>
      )}
      {version.problem && (
        <span class="mark danger" title={version.problem}>
          {text.versions.broken}
        </span>
      )}
    </span>
  );
}

function Confirm({
  models,
  change,
  onClose,
  onDone,
  onStale,
}: {
  models: Models;
  change: Change;
  onClose: () => void;
  onDone: (answer: Schemas["ModelChangeAnswer"]) => void;
  onStale: () => void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [force, setForce] = useState("");
  const refused = error instanceof ApiError && error.code === "MODEL_REFUSED";
  const before = models.active?.models ?? {};
  const after =
    change === "rollback" ? (models.previous[0]?.models ?? {}) : { ...before, [change.name]: change.version };
  const toPlaceholder = Object.keys(after).filter(
    (name) =>
      after[name] !== before[name] &&
      models.models[name]?.versions.find(({ version }) => version === after[name])?.placeholder,
  );
  const act = async () => {
    setBusy(true);
    const common = { revision: models.revision, ...(force ? { force } : {}) };
    try {
      onDone(
        change === "rollback"
          ? await rollback(common)
          : await promote({ versions: { [change.name]: change.version }, ...common }),
      );
    } catch (problem) {
      setError(problem);
      if (problem instanceof ApiError && problem.code === "MODELS_CHANGED") onStale();
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={change === "rollback" ? text.versions.confirmRollback : text.versions.confirmPromote}
      action={change === "rollback" ? text.versions.doRollback : text.versions.doPromote}
      busy={busy}
      onAct={() => void act()}
      onClose={onClose}
    >
      <ul>
        {[...new Set([...Object.keys(before), ...Object.keys(after)])].map((name) => (
          <li key={name}>
            {before[name] === after[name]
              ? text.versions.stays(nameOf(name), before[name] ?? text.none)
              : text.versions.changes(nameOf(name), before[name] ?? text.none, after[name] ?? text.none)}
          </li>
        ))}
      </ul>
      {toPlaceholder.length > 0 && (
        <Note tone="warning">
          <p>{text.versions.toPlaceholder(toPlaceholder.map(nameOf).join(", "))}</p>
        </Note>
      )}
      <p>{change === "rollback" ? text.versions.rollbackEffect : text.versions.effect}</p>
      {error !== null && <NotDone error={error} title={text.versions.failed} />}
      {refused && (
        <label>
          {text.versions.force}
          <input value={force} maxLength={500} onInput={(event) => setForce(event.currentTarget.value)} />
          <span class="small">{text.versions.forceHint}</span>
        </label>
      )}
    </Dialog>
  );
}

function members(set: Schemas["ModelSetAnswer"]): string {
  return Object.entries(set.models)
    .map(([name, version]) => `${nameOf(name)} ${version}`)
    .join(", ");
}
