/** A batch as a table: sorted, filtered, counted, with a table of its own for what failed. */

import { useMemo, useState } from "preact/hooks";
import { saveCsv } from "../../csv";
import * as format from "../../format";
import { Raw } from "../../parts/raw";
import { BANDS, BandBar, ProbabilityBar, Risk } from "../../parts/risk";
import { Empty } from "../../parts/states";
import { type Column, Table } from "../../parts/table";
import { countsOf, matches, type Row, rowsAsCsv, TYPES, tabled, typesOf } from "../../predictions";
import { address } from "../../route";
import type { Asked, Batch, PredictionType } from "../../schemas";
import { text } from "../../text";
import { curlOfMany } from "./curl";

export function BatchResult({ answer }: { answer: Batch }) {
  const { rows, failures } = useMemo(() => tabled(answer), [answer]);
  const [filter, setFilter] = useState("");
  const asked = answer.type;
  const types = typesOf(asked);
  const shown = filter ? rows.filter((row) => matches(row, filter)) : rows;
  const ids = [...new Set([...rows.map((row) => row.id), ...failures.map((failure) => failure.id)])];
  return (
    <>
      <section class="card">
        <header>
          <h2>{text.predict.results}</h2>
          {answer.mock && <span class="mark warning">{text.status.mock}</span>}
        </header>
        {types.map((type) => {
          const { answered, failed } = countsOf(answer, type);
          return (
            <p key={type}>
              {types.length > 1 && <strong>{text.models[type]}: </strong>}
              {text.predict.summary(answer.total, answered, failed)}
            </p>
          );
        })}
        {types.includes("churn") && rows.length > 0 && <Bands rows={rows} />}
        {rows.length > 0 && (
          <>
            <label class="filter">
              <span class="unseen">{text.predict.filter}</span>
              <input
                type="search"
                placeholder={text.predict.filter}
                value={filter}
                onInput={(event) => setFilter(event.currentTarget.value)}
              />
            </label>
            {shown.length > 0 ? (
              <Table caption={text.predict.results} columns={columns(asked)} rows={shown} rowKey={(row) => row.id} />
            ) : (
              <Empty title={text.predict.noMatch} />
            )}
          </>
        )}
        {rows.length === 0 && <Empty title={text.predict.noneOfThem} />}
        <Raw answer={answer} curl={curlOfMany(ids, asked)}>
          {rows.length > 0 && (
            <button type="button" onClick={() => saveCsv("predictions.csv", rowsAsCsv(shown, types))}>
              {text.predict.csv}
            </button>
          )}
        </Raw>
      </section>
      {failures.length > 0 && (
        <section class="card">
          <h2>{text.predict.failed}</h2>
          <Table
            caption={text.predict.failed}
            columns={[
              { key: "id", title: text.predict.customer, by: (row) => row.id, cell: (row) => <bdi>{row.id}</bdi> },
              ...(types.length > 1
                ? [
                    {
                      key: "type",
                      title: text.predict.type,
                      cell: (row: (typeof failures)[number]) => nameOfTypes(row.types),
                    },
                  ]
                : []),
              { key: "error", title: text.predict.error, cell: (row) => row.error },
              {
                key: "code",
                title: text.predict.errorCode,
                by: (row) => row.code,
                cell: (row) => <span class="code">{row.code}</span>,
              },
            ]}
            rows={failures}
            rowKey={(row) => `${row.types.join(" ")} ${row.id}`}
          />
        </section>
      )}
    </>
  );
}

function Bands({ rows }: { rows: Row[] }) {
  const counts = BANDS.map((band) => ({
    band,
    count: rows.filter((row) => (row.churn?.churn_risk as string | undefined) === band).length,
  }));
  return (
    <>
      <BandBar counts={counts} />
      <ul class="legend">
        {counts
          .filter((entry) => entry.count > 0 || entry.band !== "lapsed")
          .map((entry) => (
            <li key={entry.band}>
              <Risk band={entry.band} /> {format.count(entry.count)}
            </li>
          ))}
      </ul>
    </>
  );
}

function columns(asked: Asked): Column<Row>[] {
  const types: string[] = typesOf(asked);
  const has = (type: string) => types.includes(type);
  return [
    {
      key: "id",
      title: text.predict.customer,
      by: (row) => row.id,
      cell: (row) => (
        <a class="id" href={address(["predict"], { mode: "single", type: asked, id: row.id })}>
          <bdi>{row.id}</bdi>
        </a>
      ),
    },
    ...(has("churn")
      ? [
          {
            key: "probability",
            title: text.predict.probability,
            by: (row: Row) => row.churn?.churn_probability ?? null,
            cell: (row: Row) =>
              row.churn ? (
                <ProbabilityBar
                  value={row.churn.churn_probability}
                  band={row.churn.churn_risk}
                  label={text.predict.probability}
                />
              ) : (
                "–"
              ),
          },
          {
            key: "risk",
            title: text.predict.risk,
            by: (row: Row) => (row.churn ? BANDS.indexOf(row.churn.churn_risk) : null),
            cell: (row: Row) => (row.churn ? <Risk band={row.churn.churn_risk} /> : "–"),
          },
        ]
      : []),
    ...(has("nbo")
      ? [
          {
            key: "offer",
            title: text.predict.offer,
            by: (row: Row) => row.nbo?.top_offer?.offer_name ?? null,
            cell: (row: Row) => row.nbo?.top_offer?.offer_name ?? "–",
          },
          {
            key: "confidence",
            title: text.predict.takes,
            numeric: true,
            by: (row: Row) => row.nbo?.confidence ?? null,
            cell: (row: Row) => (row.nbo ? format.probability(row.nbo.confidence) : "–"),
          },
        ]
      : []),
    ...(has("rfm")
      ? [
          {
            key: "code",
            title: text.predict.code,
            by: (row: Row) => row.rfm?.rfm_segment ?? null,
            cell: (row: Row) => <span class="code">{row.rfm?.rfm_segment ?? "–"}</span>,
          },
          {
            key: "segment",
            title: text.predict.segment,
            by: (row: Row) => row.rfm?.segment ?? null,
            cell: (row: Row) => row.rfm?.segment ?? "–",
          },
        ]
      : []),
  ];
}

const nameOfTypes = (types: PredictionType[]): string =>
  types.length === TYPES.length ? (text.predict.types["all"] ?? "") : types.map((type) => text.models[type]).join(", ");
