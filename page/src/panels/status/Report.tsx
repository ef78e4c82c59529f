/** A version's report: what it is, and how good it was on customers who were held out of its training. */

import { getCard } from "../../api";
import * as format from "../../format";
import { useResource } from "../../parts/resource";
import { isBand, Risk } from "../../parts/risk";
import { Empty, Failed, Loading } from "../../parts/states";
import { type Column, Table } from "../../parts/table";
import { churnQuality, type Group, type ListQuality, offerName, offerQuality, type Ranged } from "../../quality";
import { address } from "../../route";
import type { Schemas } from "../../schemas";
import { text } from "../../text";

const range = (ranged: Ranged | null): string =>
  ranged ? `${format.probability(ranged.low)} – ${format.probability(ranged.high)}` : "–";
const counted = (ranged: Ranged): string =>
  `${format.count(ranged.value)} (${format.count(ranged.low)} – ${format.count(ranged.high)})`;

export function Report({ name, version }: { name: string; version: string }) {
  const card = useResource((signal) => getCard(name, version, signal), [name, version]);
  return (
    <>
      <div class="heading">
        <p>
          <a href={address(["status"])}>{text.report.back}</a>
        </p>
        <h1>{text.report.title(text.models[name] ?? name)}</h1>
        <p class="code">{version}</p>
      </div>
      {card.state === "failed" && <Failed error={card.error} onReload={card.reload} />}
      {card.state === "loading" && <Loading onCancel={card.cancel} />}
      {card.value && <OfCard name={name} card={card.value} />}
    </>
  );
}

function OfCard({ name, card: shown }: { name: string; card: Schemas["ModelCardAnswer"] }) {
  const churn = churnQuality(shown);
  const offers = offerQuality(shown);
  const { training } = shown;
  return (
    <>
      <section class="card">
        <dl class="facts wide">
          <div>
            <dt>{text.status.trained}</dt>
            <dd>{format.date(shown.created)}</dd>
          </div>
          <div>
            <dt>{text.report.data}</dt>
            <dd>{text.status.trainedOn(training.rows, training.data)}</dd>
          </div>
          <div>
            <dt>{text.report.period}</dt>
            <dd>
              {training.start && training.end
                ? `${format.date(training.start)} – ${format.date(training.end)}`
                : text.unknown}
            </dd>
          </div>
          <div>
            <dt>{text.report.objective}</dt>
            <dd>{training.objective ?? text.unknown}</dd>
          </div>
          <div>
            <dt>{text.status.kind}</dt>
            <dd>{shown.placeholder ? text.status.placeholder : text.status.real}</dd>
          </div>
          {name === "churn" && (
            <div>
              <dt>{text.report.thresholds}</dt>
              <dd>
                {Object.entries(shown.thresholds).map(([band, from]) => (
                  <div key={band}>
                    <Risk band={band} /> ≥ {format.share(from)}
                  </div>
                ))}
              </dd>
            </div>
          )}
        </dl>
        <details>
          <summary>{text.report.featuresUsed}</summary>
          <p class="code">{shown.features.join(", ")}</p>
        </details>
      </section>
      {!churn && !offers && (
        <Empty title={shown.placeholder ? text.status.notMeasuredOfPlaceholder : text.status.notMeasured}>
          <p>{shown.placeholder ? text.status.qualityOfPlaceholder : text.report.none}</p>
        </Empty>
      )}
      {churn && churn.lists.length > 0 && (
        <section class="card">
          <h2>{text.report.lists}</h2>
          {churn.lists.map((list) => (
            <p key={list.share}>{list.sentence}</p>
          ))}
          <Table caption={text.report.lists} columns={LISTS} rows={churn.lists} rowKey={(row) => String(row.share)} />
        </section>
      )}
      {churn && (
        <>
          <section class="card">
            <h2>{text.report.bands}</h2>
            <p class="small">{text.report.bandsLead}</p>
            <Table
              caption={text.report.bands}
              columns={groups(text.report.band)}
              rows={churn.bands}
              rowKey={(row) => row.name}
            />
          </section>
          <section class="card">
            <h2>{text.report.tenths}</h2>
            <p class="small">{text.report.tenthsLead}</p>
            <Tenths tenths={churn.tenths} />
            <Table
              caption={text.report.tenths}
              columns={groups(text.report.tenth)}
              rows={churn.tenths}
              rowKey={(row) => row.name}
            />
          </section>
        </>
      )}
      {offers && (
        <section class="card">
          <h2>{text.report.offers}</h2>
          <p>{offers.sentence}</p>
          <p class="small">{text.report.offersLead}</p>
          <Table
            caption={text.report.offers}
            columns={[
              { key: "what", title: text.predict.offer, cell: (row) => row.what },
              {
                key: "value",
                title: text.report.value,
                numeric: true,
                cell: (row) => format.decimals(row.ranged.value),
              },
              {
                key: "range",
                title: text.report.range,
                numeric: true,
                cell: (row) => `${format.decimals(row.ranged.low)} – ${format.decimals(row.ranged.high)}`,
              },
            ]}
            rows={[
              { what: text.report.recommended, ranged: offers.recommended },
              { what: text.report.shown, ranged: offers.shown },
              { what: text.report.best(offerName(shown, offers.best_offer)), ranged: offers.best_single },
            ]}
            rowKey={(row) => row.what}
          />
        </section>
      )}
      <section class="card">
        <h2>{text.report.metrics}</h2>
        <div class="narrow">
          <Table
            caption={text.report.metrics}
            columns={[
              {
                key: "metric",
                title: text.report.metric,
                by: (row) => row[0],
                cell: (row) => text.report.nameOf(row[0]),
              },
              {
                key: "value",
                title: text.report.value,
                numeric: true,
                by: (row) => row[1],
                cell: (row) => format.decimals(row[1]),
              },
            ]}
            rows={Object.entries(shown.metrics)}
            rowKey={(row) => row[0]}
          />
        </div>
        <details>
          <summary>{text.report.evaluation}</summary>
          <pre tabIndex={0}>{JSON.stringify(shown.evaluation, null, 2)}</pre>
        </details>
      </section>
    </>
  );
}

const LISTS: Column<ListQuality>[] = [
  { key: "list", title: text.report.list, cell: (row) => text.report.listSize(row.share, row.customers) },
  { key: "model", title: text.report.model, numeric: true, cell: (row) => counted(row.found) },
  {
    key: "rule",
    title: text.report.rule,
    numeric: true,
    cell: (row) => (
      <>
        {counted(row.rule)}
        <br />
        <span class="small">{text.report.days(row.rule_days)}</span>
      </>
    ),
  },
  { key: "chance", title: text.report.chance, numeric: true, cell: (row) => counted(row.chance) },
  { key: "word", title: text.report.word, cell: (row) => text.status.words[row.word] ?? row.word },
];

function groups(title: string): Column<Group>[] {
  return [
    { key: "name", title, cell: (row) => (isBand(row.name) ? <Risk band={row.name} /> : row.name) },
    { key: "customers", title: text.report.customers, numeric: true, cell: (row) => format.count(row.customers) },
    {
      key: "predicted",
      title: text.report.predicted,
      numeric: true,
      cell: (row) => (row.predicted === null ? "–" : format.probability(row.predicted)),
    },
    { key: "happened", title: text.report.happened, numeric: true, cell: (row) => format.count(row.happened) },
    {
      key: "share",
      title: text.report.happenedShare,
      numeric: true,
      cell: (row) => (row.share ? format.probability(row.share.value) : "–"),
    },
    { key: "range", title: text.report.range, numeric: true, cell: (row) => range(row.share) },
  ];
}

/** Bars of what happened, dots of what was predicted; the table below has the same numbers. */
function Tenths({ tenths }: { tenths: Group[] }) {
  const most = Math.max(0.01, ...tenths.flatMap((group) => [group.predicted ?? 0, group.share?.high ?? 0]));
  const height = (value: number) => 100 * (value / most);
  return (
    <div class="tenths" aria-hidden="true">
      {tenths.map((group) => (
        <div key={group.name}>
          <div class="plot">
            {group.share && <span class="happened" style={{ height: `${height(group.share.value)}%` }} />}
            {group.predicted !== null && <span class="predicted" style={{ bottom: `${height(group.predicted)}%` }} />}
          </div>
          <span class="small">{group.name}</span>
        </div>
      ))}
    </div>
  );
}
