import { useState } from "preact/hooks";
import { getStatistics, listSegments } from "../../api";
import { ServiceBanners } from "../../parts/banner";
import { limited } from "../../parts/limited";
import { useResource } from "../../parts/resource";
import { Sparkline } from "../../parts/sparkline";
import { Empty, Failed, Loading, NotAllowed } from "../../parts/states";
import { Table } from "../../parts/table";
import { address, go, route } from "../../route";
import type { Schemas } from "../../schemas";
import { may } from "../../session";
import { text } from "../../text";
import { Builder } from "./Builder";
import { Segment } from "./Segment";

const PAGE = 20;
const POINTS = 30;

/** #/segments; one of them: #/segments/high-value; defining one: #/segments?define=rule. */
export function Segments() {
  const { path, query } = route.value;
  const id = path[1];
  if ((query.has("edit") || query.has("define")) && !may("loyalty/segments"))
    return <NotAllowed panel={text.builder.title} scope="loyalty/segments" />;
  if (id) return query.has("edit") ? <Builder id={id} /> : <Segment id={id} />;
  return query.has("define") ? <Builder id={null} /> : <List />;
}

function List() {
  const after = route.value.query.get("after");
  const list = useResource((signal) => listSegments(PAGE, after, signal), [after]);
  const [id, setId] = useState("");
  return (
    <>
      <div class="heading with-action">
        <div>
          <h1>{text.segments.title}</h1>
          <p>{text.segments.lead}</p>
        </div>
        {may("loyalty/segments") && (
          <a class="button primary" href={address(["segments"], { define: "rule" })}>
            {text.segments.add}
          </a>
        )}
      </div>
      <ServiceBanners />
      <section class="card">
        {list.state === "failed" && <Failed error={list.error} onReload={list.reload} />}
        {list.state === "loading" && !list.value && <Loading onCancel={list.cancel} />}
        {list.value &&
          (list.value.segments.length ? (
            <Table
              caption={text.segments.title}
              rows={list.value.segments}
              rowKey={(row) => row.segment_id}
              columns={[
                {
                  key: "name",
                  title: text.segments.name,
                  by: (row) => row.segment_name,
                  cell: (row) => (
                    <>
                      <a href={address(["segments", row.segment_id])}>
                        <bdi>{row.segment_name}</bdi>
                      </a>
                      <br />
                      <span class="small">{text.segments.kinds[row.kind]}</span>
                    </>
                  ),
                },
                { key: "trend", title: text.segments.overview, cell: (row) => <Trend segment={row} /> },
              ]}
            />
          ) : (
            <Empty title={text.segments.empty}>{may("loyalty/segments") && <p>{text.segments.emptyWhat}</p>}</Empty>
          ))}
        <div class="pages">
          <form
            class="go"
            onSubmit={(event) => {
              event.preventDefault();
              if (id.trim()) go(address(["segments", id.trim()]));
            }}
          >
            <label>
              <span class="unseen">{text.segments.find}</span>
              <input
                value={id}
                placeholder={text.segments.find}
                onInput={(event) => setId(event.currentTarget.value)}
              />
            </label>
            <button type="submit">{text.segments.open}</button>
          </form>
          {after && <a href={address(["segments"])}>{text.segments.first}</a>}
          {list.value?.next && <a href={address(["segments"], { after: list.value.next })}>{text.segments.more}</a>}
        </div>
      </section>
    </>
  );
}

/** Members, average risk, and how it moved; each segment's own request, as the service may have to compute it. */
function Trend({ segment }: { segment: Schemas["SegmentSummary"] }) {
  const stats = useResource(
    (signal) => limited(() => getStatistics(segment.segment_id, POINTS, signal)),
    [segment.segment_id, segment.version],
  );
  if (stats.state === "failed") return <span class="small">{text.segments.noStatistics}</span>;
  if (!stats.value) return <span class="small pending">{text.loading}</span>;
  const { history, member_count, stats: now } = stats.value;
  const average = now.churn.avg_probability;
  const averages = history.flatMap((entry) => entry.stats.churn.avg_probability ?? []);
  const change = history.at(-1)?.change?.total.avg_probability;
  return (
    <span class="trend">
      <span>{text.predict.customers(member_count)}</span>
      <span>{average === null ? text.segments.noAverage : text.segments.averageOf(average)}</span>
      <Sparkline values={averages} />
      <span class="small">
        {typeof change === "number"
          ? text.segments.changed(100 * change)
          : history.length < 2 && text.segments.onePoint}
      </span>
    </span>
  );
}
