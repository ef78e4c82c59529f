/** The page's frame: its name, its panels, and who is signed in. */

import { Component, type ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { getIssuer } from "./api";
import { Files } from "./panels/files/Files";
import { Predict } from "./panels/predict/Predict";
import { Segments } from "./panels/segments/Segments";
import { Status } from "./panels/status/Status";
import { useResource } from "./parts/resource";
import { SignIn } from "./parts/signin";
import { Failed, Loading, NotAllowed } from "./parts/states";
import { address, route } from "./route";
import { issuer, may, type Scope, signIn, signInWanted, token } from "./session";
import { text } from "./text";

const PANELS = { status: Status, predict: Predict, segments: Segments, files: Files };
type PanelName = keyof typeof PANELS;

/** What each panel cannot be without. */
const NEEDS: Record<PanelName, Scope> = {
  status: "loyalty/read",
  predict: "loyalty/predict",
  segments: "loyalty/read",
  files: "loyalty/read",
};
const NAMES = Object.keys(PANELS) as PanelName[];

/** The page, once it knows how one signs in. */
export function App() {
  const asked = useResource(async (signal) => {
    issuer.value = await getIssuer(signal);
    return true;
  }, []);
  if (asked.state === "failed") return <Failed error={asked.error} onReload={asked.reload} />;
  return asked.value ? <Frame /> : <Loading />;
}

function Frame() {
  const offered = NAMES.filter((each) => may(NEEDS[each]));
  const asked = route.value.path[0] ?? offered[0] ?? "status";
  const name = (Object.hasOwn(PANELS, asked) ? asked : (offered[0] ?? "status")) as PanelName;
  const Panel = PANELS[name];
  // Before the first sign-in there is nothing that could be shown, or lost.
  const isOut = issuer.value !== null && token.value === null;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const { path, query } = route.value;
  const item = query.has("define") ? text.builder.title : path.slice(1).join(" ");
  const shown = query.has("edit") ? text.builder.titleEdit(item) : item;
  const title = [shown, text.panels[name], text.product].filter(Boolean).join(" – ");
  useEffect(() => {
    document.title = title;
    // A reader who chose another view, or has signed in, goes on there; at the first one the browser decides.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [title, isOut]);
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: the hash is the address of what is shown, so the link moves the focus itself */}
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        {text.skip}
      </a>
      <header class="top">
        <a class="product" href={address([offered[0] ?? "status"])}>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" />
            <path d="M7 21l6-7 5 4 7-9" />
          </svg>
          {text.product}
        </a>
        {!isOut && (
          <nav aria-label={text.product}>
            {offered.map((each) => (
              <a key={each} href={address([each])} {...(each === name ? { "aria-current": "page" as const } : {})}>
                {text.panels[each]}
              </a>
            ))}
          </nav>
        )}
        {token.value !== null && (
          <button
            type="button"
            class="quiet"
            title={issuer.value ? undefined : text.signIn.signedIn}
            // Loaded anew, the page has forgotten all that the person saw.
            onClick={() => (issuer.value ? location.reload() : signIn(""))}
          >
            {issuer.value ? text.signIn.leave : text.signIn.signOut}
          </button>
        )}
      </header>
      {signInWanted.value && !isOut && <Again onDone={() => main.current?.focus({ preventScroll: true })} />}
      <main id="content" ref={main} tabIndex={-1}>
        {isOut ? (
          <SignIn alone />
        ) : (
          <Boundary key={name}>
            {may(NEEDS[name]) ? <Panel /> : <NotAllowed panel={text.panels[name]} scope={NEEDS[name]} />}
          </Boundary>
        )}
      </main>
    </>
  );
}

/** Over what was typed. onDone: called when it goes, if the focus would go with it. */
function Again({ onDone }: { onDone: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const shown = box.current;
    return () => {
      if (shown?.contains(document.activeElement)) onDone();
    };
  }, []);
  return (
    <div ref={box} class="again">
      <SignIn />
    </div>
  );
}

class Boundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: null as unknown };
  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }
  override render() {
    return this.state.error === null ? this.props.children : <Failed error={this.state.error} />;
  }
}
