/** What nobody may overlook: answers that are made up, and models that only show how. */

import { getStatus } from "../api";
import type { Schemas } from "../schemas";
import { may } from "../session";
import { text } from "../text";
import { useResource } from "./resource";
import { Note } from "./states";

/** A model as a person calls it. */
export const nameOf = (name: string): string => text.models[name] ?? name;

/** For a panel that asks for no status itself. What keeps the status away is said by the panel's own requests. */
export function ServiceBanners() {
  const status = useResource(async (signal) => (may("loyalty/read") ? await getStatus(signal) : null), []);
  return status.value && <Banners status={status.value} />;
}

export function Banners({ status }: { status: Schemas["StatusAnswer"] }) {
  const models = Object.entries(status.models);
  const mock =
    status.mock_mode === "true" ? models : status.mock_mode === "auto" ? models.filter(([, m]) => !m.exists) : [];
  const broken = models.filter(([, model]) => model.exists && model.message);
  return (
    <>
      {mock.length > 0 && (
        <Note tone="warning" title={text.banner.mockTitle}>
          <p>
            {status.mock_mode === "true"
              ? text.banner.mockAll
              : text.banner.mockTypes(mock.map(([name]) => nameOf(name)).join(", "))}{" "}
            {text.banner.mockWhat}
          </p>
        </Note>
      )}
      {status.mock_mode !== "true" && <Placeholders models={status.models} />}
      {broken.map(([name, model]) => (
        <Note key={name} tone="danger" title={text.banner.brokenTitle}>
          <p>{model.message}</p>
        </Note>
      ))}
    </>
  );
}

/** Which of the models that something was made by are placeholders, if any is. */
export function Placeholders({ models }: { models: Record<string, { placeholder?: boolean | null }> }) {
  const names = Object.keys(models).filter((name) => models[name]?.placeholder);
  if (names.length === 0) return null;
  return (
    <Note tone="warning" title={text.banner.placeholderTitle}>
      <p>
        {text.banner.placeholder(names.map(nameOf).join(", "))} {text.banner.placeholderWhat}
      </p>
    </Note>
  );
}
