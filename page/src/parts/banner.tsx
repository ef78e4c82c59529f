/** What nobody may overlook: answers that are made up, and models that only show how. */

import type { Schemas } from "../api";
import { text } from "../text";
import { Note } from "./states";

const nameOf = (name: string): string => text.models[name] ?? name;

export function Banners({ status }: { status: Schemas["StatusAnswer"] }) {
  const models = Object.entries(status.models);
  const mock =
    status.mock_mode === "true" ? models : status.mock_mode === "auto" ? models.filter(([, m]) => !m.exists) : [];
  const placeholders = status.mock_mode === "true" ? [] : models.filter(([, model]) => model.placeholder);
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
      {placeholders.length > 0 && (
        <Note tone="warning" title={text.banner.placeholderTitle}>
          <p>
            {text.banner.placeholder(placeholders.map(([name]) => nameOf(name)).join(", "))}{" "}
            {text.banner.placeholderWhat}
          </p>
        </Note>
      )}
      {broken.map(([name, model]) => (
        <Note key={name} tone="danger" title={text.banner.brokenTitle}>
          <p>{model.message}</p>
        </Note>
      ))}
    </>
  );
}
