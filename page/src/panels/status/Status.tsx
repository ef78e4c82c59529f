import { useEffect } from "preact/hooks";
import { ApiError, getCard, getStatus, listModels, pause } from "../../api";
import * as format from "../../format";
import { Banners } from "../../parts/banner";
import { useResource } from "../../parts/resource";
import { Failed, Loading, Note } from "../../parts/states";
import { churnQuality, offerName, offerQuality, signOf, usualList } from "../../quality";
import { address, route } from "../../route";
import type { Schemas } from "../../schemas";
import { text } from "../../text";
import { Report } from "./Report";
import { Versions } from "./Versions";

type Card = Schemas["ModelCardAnswer"];

/** #/status, or the report of a version: #/status/churn/20261128T222800Z-8059d23a. */
export function Status() {
  const [, name, version] = route.value.path;
  return name && version ? <Report name={name} version={version} /> : <Overview />;
}

/** A version's card, or why it cannot be had: that is shown in its place, and the others stay. */
type Found = { card: Card | null; error: unknown };

async function find(name: string, version: string | null, signal: AbortSignal): Promise<Found> {
  try {
    return { card: version === null ? null : await getCard(name, version, signal), error: null };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) throw error; // all is asked again after signing in
    return { card: null, error };
  }
}

/** All that the cards show, at once: cards that grow one after the other make the page jump. */
async function load(signal: AbortSignal) {
  const status = await getStatus(signal);
  const found = Object.entries(status.models).map(
    async ([name, { version }]) => [name, await find(name, version, signal)] as const,
  );
  return { status, cards: Object.fromEntries(await Promise.all(found)) };
}

/** How often is looked whether a set that was made active is served. */
const EVERY_MILLISECONDS = 3000;

/** Whether the service answers from another version than the active one: it looks for a change now and then. */
function isBehind(status: Schemas["StatusAnswer"], { active }: Schemas["ModelListAnswer"]): boolean {
  return Object.entries(active?.models ?? {}).some(([name, version]) => {
    const served = status.models[name];
    return served?.loaded === true && served.version !== version;
  });
}

function Overview() {
  const overview = useResource(load, []);
  const models = useResource(listModels, []);
  const reload = () => {
    overview.reload();
    models.reload();
  };
  const shown = overview.value;
  const cancel = () => {
    for (const each of [overview, models]) if (each.state === "loading") each.cancel();
  };
  // What one click has cancelled, one click asks for again.
  const again = () => {
    for (const each of [overview, models]) if (each.state === "failed") each.reload();
  };
  const behind = shown !== null && models.value !== null && isBehind(shown.status, models.value);
  useEffect(() => {
    if (!behind || overview.state !== "ready") return undefined;
    const stop = new AbortController();
    pause(EVERY_MILLISECONDS, stop.signal).then(overview.reload, () => null);
    return () => stop.abort();
  }, [behind, overview.state, shown]);
  const waits = overview.state === "loading" || models.state === "loading";
  return (
    <>
      <div class="heading">
        <h1>{text.status.title}</h1>
        <p>{text.status.lead}</p>
      </div>
      {overview.state === "failed" && <Failed error={overview.error} onReload={again} />}
      {waits && !(shown && models.value) && <Loading onCancel={cancel} />}
      {shown && (models.value || models.state === "failed") && (
        <>
          <Banners status={shown.status} />
          <div class="cards">
            {Object.entries(shown.status.models).map(([name, model]) => (
              <ModelCard
                key={name}
                name={name}
                model={model}
                found={shown.cards[name] ?? { card: null, error: null }}
                mockMode={shown.status.mock_mode}
                onReload={overview.reload}
              />
            ))}
            <RfmCard models={models.value} />
          </div>
          <ServiceCard status={shown.status} />
        </>
      )}
      {models.state === "failed" && <Failed error={models.error} onReload={again} />}
      {models.value && !(waits && !shown) && <Versions models={models.value} behind={behind} onChange={reload} />}
    </>
  );
}

function YesNo({ yes }: { yes: boolean }) {
  return <span class={yes ? "mark good" : "mark danger"}>{yes ? text.status.yes : text.status.no}</span>;
}

interface ModelCardProps {
  name: string;
  model: Schemas["ModelStatus"];
  found: Found;
  mockMode: string;
  onReload: () => void;
}

function ModelCard({ name, model, found: { card, error }, mockMode, onReload }: ModelCardProps) {
  const mocked = mockMode === "true" || (mockMode === "auto" && !model.exists);
  const { advice, active, evidence } = model;
  const kind = mocked ? text.status.mock : model.placeholder ? text.status.placeholder : text.status.real;
  return (
    <section class="card model">
      <header>
        <div>
          <h2>{text.models[name] ?? name}</h2>
          <p class="small">{text.questions[name]}</p>
        </div>
        {(model.exists || mocked) && (
          <span class={`mark ${mocked || model.placeholder ? "warning" : "good"}`}>{kind}</span>
        )}
      </header>
      <dl class="facts">
        <dt>{text.status.exists}</dt>
        <dd>
          <YesNo yes={model.exists} />
        </dd>
        <dt>{text.status.loaded}</dt>
        <dd>
          <YesNo yes={model.loaded} />
        </dd>
        <dt>{text.status.version}</dt>
        <dd class="code">{model.version ?? text.none}</dd>
        {card && (
          <>
            <dt>{text.status.trained}</dt>
            <dd>
              <time dateTime={card.created} title={format.time(card.created)}>
                {format.date(card.created)}
              </time>
              <br />
              <span class="small">{text.status.trainedOn(card.training.rows, card.training.data)}</span>
            </dd>
          </>
        )}
        {active && (
          <>
            <dt>{text.risk.lapsed}</dt>
            <dd>
              {active === "unknown" ? text.status.lapsedUnknown : text.status.lapsedAfter(active.feature, active.days)}
            </dd>
          </>
        )}
        {evidence && (
          <>
            <dt>{text.status.offersLearnt}</dt>
            <dd>
              {evidence === "unknown"
                ? text.status.offersUnknown
                : text.status.offersOf(
                    evidence.learnt.length,
                    evidence.too_few.map((code) => offerName(card, code)),
                  )}
            </dd>
          </>
        )}
      </dl>
      {model.message && <p class="small">{model.message}</p>}
      {advice && (
        <Note tone="info" title={text.status.advice}>
          <p>{advice}</p>
        </Note>
      )}
      {error !== null && <Failed error={error} onReload={onReload} />}
      {card && <Quality card={card} />}
      <NotTold name={name} />
      {model.version && (
        <p>
          <a href={address(["status", name, model.version])}>{text.status.report}</a>
        </p>
      )}
    </section>
  );
}

function Quality({ card }: { card: Card }) {
  const churn = churnQuality(card);
  const offers = offerQuality(card);
  const list = churn && usualList(churn);
  let word = card.placeholder ? text.status.notMeasuredOfPlaceholder : text.status.notMeasured;
  let why = card.placeholder ? text.status.qualityOfPlaceholder : text.status.notMeasuredWhy;
  let rule = "";
  if (list) {
    word = text.status.words[list.word] ?? list.word;
    why = list.sentence;
    rule = text.status.wordRule;
  } else if (offers) {
    word = text.status.offerWord(
      signOf(offers.over_shown),
      signOf(offers.over_best_single),
      offerName(card, offers.best_offer),
    );
    why = offers.sentence;
    rule = text.status.offerRule;
  }
  return (
    <div class="quality">
      <h3>{text.status.quality}</h3>
      <p class="word">{word}</p>
      <p>{why}</p>
      {rule && <p class="small">{rule}</p>}
    </div>
  );
}

function NotTold({ name }: { name: string }) {
  return (
    <details>
      <summary>{text.status.notTold}</summary>
      <p>{text.status.notToldOf[name]}</p>
    </details>
  );
}

function RfmCard({ models }: { models: Schemas["ModelListAnswer"] | null }) {
  const points = models?.active?.rfm;
  const fixed = !points || points.version === "fixed";
  return (
    <section class="card model">
      <header>
        <div>
          <h2>{text.models["rfm"]}</h2>
          <p class="small">{text.questions["rfm"]}</p>
        </div>
        <span class="mark">{text.status.calculated}</span>
      </header>
      <dl class="facts">
        <dt>{text.status.exists}</dt>
        <dd>{text.status.noFileNeeded}</dd>
        <dt>{text.status.loaded}</dt>
        <dd>{text.status.noFileNeeded}</dd>
        <dt>{text.status.version}</dt>
        <dd class="code">{points?.version ?? "fixed"}</dd>
        <dt>{text.status.cutPoints}</dt>
        <dd>
          {fixed ? text.status.fixedCutPoints : text.status.ownCutPoints}
          {!fixed && models?.active && (
            <>
              <br />
              <span class="small">
                <time dateTime={models.active.created} title={format.time(models.active.created)}>
                  {text.status.published(format.date(models.active.created))}
                </time>
              </span>
            </>
          )}
        </dd>
      </dl>
      {points && (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">{text.status.score}</th>
              {[5, 4, 3, 2].map((score) => (
                <th key={score} scope="col" class="number">
                  {score}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(["recency", "frequency", "monetary"] as const).map((part) => (
              <tr key={part}>
                <th scope="row">{text.status.cutPointsOf[part]}</th>
                {points[part].map((value, place) => (
                  <td key={place} class="number">
                    {part === "recency" ? "≤ " : "≥ "}
                    {format.amount(value)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <NotTold name="rfm" />
    </section>
  );
}

function ServiceCard({ status }: { status: Schemas["StatusAnswer"] }) {
  const { as_of, customers, message } = status.features;
  return (
    <section class="card">
      <h2>{text.status.service}</h2>
      <dl class="facts wide">
        <div>
          <dt>{text.status.featuresAsOf}</dt>
          <dd>
            {as_of ? (
              <>
                <time dateTime={as_of}>{format.date(as_of)}</time>
                <br />
                <span class="small">{text.status.stale(format.ago(as_of))}</span>
              </>
            ) : (
              text.status.noFeatures
            )}
          </dd>
        </div>
        <div>
          <dt>{text.status.customers}</dt>
          <dd>{customers === null ? text.unknown : format.count(customers)}</dd>
        </div>
        <div>
          <dt>{text.status.mockMode}</dt>
          <dd>{text.status.mockModes[status.mock_mode]}</dd>
        </div>
        <div>
          <dt>{text.status.runtime}</dt>
          <dd>
            {status.runtime.library} {status.runtime.version}
          </dd>
        </div>
      </dl>
      {message && <p>{message}</p>}
    </section>
  );
}
