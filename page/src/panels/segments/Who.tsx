/** Who is in a segment: what it is defined by, and what the builder asks of each. */

import { useId, useState } from "preact/hooks";
import { getStatus, sendList } from "../../api";
import { useResource } from "../../parts/resource";
import { BANDS } from "../../parts/risk";
import { Failed } from "../../parts/states";
import { knowsLapsed } from "../../quality";
import { KINDS, type Kind, RFM_NAMES } from "../../segments";
import { text } from "../../text";
import { OfferCodes } from "./OfferCodes";
import type { Props } from "./part";
import { Rule } from "./Rule";

const PARTS: Record<Kind, (props: Props) => preact.JSX.Element> = {
  rule: Rule,
  customer_ids: Ids,
  churn_risk: RiskBand,
  rfm_segment: RfmName,
  recommended_offer: Offer,
};

export function Who({ draft, change }: Props) {
  const choose = (kind: Kind, chosen: boolean) =>
    change({ kinds: KINDS.filter((each) => (each === kind ? chosen : draft.kinds.includes(each))) });
  return (
    <>
      <fieldset class="toggle">
        <legend>{text.builder.kind}</legend>
        {KINDS.map((kind) => (
          <label key={kind}>
            <input
              type="checkbox"
              checked={draft.kinds.includes(kind)}
              onChange={(event) => choose(kind, event.currentTarget.checked)}
            />
            <span>{text.segments.kinds[kind]}</span>
          </label>
        ))}
      </fieldset>
      <p class="small">{text.builder.kindHint}</p>
      {draft.kinds.map((kind, place) => {
        const Part = PARTS[kind];
        return (
          <fieldset key={kind} class="part">
            <legend>
              {place > 0 && <span class="and">{text.builder.and} </span>}
              {text.segments.kinds[kind]}
            </legend>
            <Part draft={draft} change={change} />
          </fieldset>
        );
      })}
    </>
  );
}

/** A list as text, or as a file, which is sent as soon as it is chosen. */
function Ids({ draft, change }: Props) {
  const [share, setShare] = useState<number | null>(null);
  const [failed, setFailed] = useState<{ file: File; error: unknown } | null>(null);
  const send = async (file: File | undefined) => {
    if (!file) return;
    setFailed(null);
    setShare(0);
    try {
      change({ list: { id: await sendList(file, setShare), name: file.name, customers: null } });
    } catch (error) {
      setFailed({ file, error });
    } finally {
      setShare(null);
    }
  };
  return (
    <div
      class="ids"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void send(event.dataTransfer?.files[0]);
      }}
    >
      {draft.list ? (
        <p class="only">
          <bdi>{draft.list.name ?? text.builder.listed(draft.list.customers ?? 0)}</bdi>{" "}
          <button type="button" class="quiet" onClick={() => change({ list: null })}>
            {text.builder.dropList}
          </button>
        </p>
      ) : (
        <label>
          {text.builder.ids}
          <textarea
            rows={8}
            dir="auto"
            value={draft.ids}
            onInput={(event) => change({ ids: event.currentTarget.value })}
          />
        </label>
      )}
      <label>
        {text.builder.file}
        <input
          type="file"
          disabled={share !== null}
          onChange={(event) => {
            void send(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
      </label>
      <p class="small">{text.builder.fileHint}</p>
      {share !== null && <progress value={share} aria-label={text.builder.file} />}
      {failed && (
        <Failed
          error={failed.error}
          title={text.files.notSent(failed.file.name)}
          onReload={() => void send(failed.file)}
        />
      )}
    </div>
  );
}

function RfmName({ draft, change }: Props) {
  return (
    <label>
      {text.builder.rfmName}
      <select value={draft.rfm} onChange={(event) => change({ rfm: event.currentTarget.value })}>
        {RFM_NAMES.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function RiskBand({ draft, change }: Props) {
  const status = useResource(getStatus, []);
  const hasLapsed = draft.band === "lapsed" || knowsLapsed(status.value?.models["churn"]);
  return (
    <label>
      {text.builder.band}
      <select value={draft.band} onChange={(event) => change({ band: event.currentTarget.value })}>
        {BANDS.filter((band) => band !== "lapsed" || hasLapsed).map((band) => (
          <option key={band} value={band}>
            {text.risk[band]}
          </option>
        ))}
      </select>
    </label>
  );
}

function Offer({ draft, change }: Props) {
  const list = useId();
  return (
    <label>
      {text.builder.offer}
      <input
        value={draft.offer}
        list={list}
        maxLength={200}
        onInput={(event) => change({ offer: event.currentTarget.value })}
      />
      <OfferCodes id={list} />
    </label>
  );
}
