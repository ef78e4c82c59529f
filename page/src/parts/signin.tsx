/** Signing in, in whichever place one may click. Whatever was typed below stays. */

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { begin, type Issuer, issuer, signIn, token } from "../session";
import { text } from "../text";

/** `alone`: as all that the page shows, before the first sign-in; else that one has ended. */
export function SignIn({ alone = false }: { alone?: boolean }) {
  return issuer.value ? <AtIssuer issuer={issuer.value} alone={alone} /> : <Paste />;
}

type Step = "begin" | "waits" | "blocked" | "refused" | "failed";

/** The issuer's own page, in a window of its own. */
function AtIssuer({ issuer, alone }: { issuer: Issuer; alone: boolean }) {
  const [step, set] = useState<Step>("begin");
  const running = useRef<AbortController | null>(null);
  const heading = useId();
  const Heading = alone ? "h1" : "h2";
  useEffect(() => () => running.current?.abort(), []);
  const start = async () => {
    running.current?.abort();
    const stop = new AbortController();
    running.current = stop;
    // Opened by the click itself, or the browser would keep it from opening.
    const opened = open("", "_blank", "popup,width=480,height=680");
    if (!opened) return set("blocked");
    opened.opener = null; // whoever is there learns nothing of this page
    set("waits");
    try {
      const oidc = await import("../oidc");
      try {
        const tokens = await oidc.signInAt(issuer, opened, stop.signal);
        if (!stop.signal.aborted) begin(tokens);
      } catch (error) {
        if (!stop.signal.aborted) set(oidc.isRefusal(error) ? "refused" : "failed");
        opened.close();
      }
    } catch {
      opened.close();
      if (!stop.signal.aborted) set("failed");
    }
  };
  return (
    <section class="sign-in" aria-labelledby={heading}>
      <Heading id={heading}>{alone ? text.signIn.title : text.signIn.titleAgain}</Heading>
      <p>{(alone ? text.signIn.atIssuer : text.signIn.againAtIssuer)(new URL(issuer.issuer).host)}</p>
      {step === "waits" && <p role="status">{text.signIn.waits}</p>}
      {step !== "begin" && step !== "waits" && (
        <p class="problem" role="alert">
          {text.signIn[step]}
        </p>
      )}
      <button type="button" class="primary" onClick={() => void start()}>
        {step === "begin" ? text.signIn.title : text.signIn.again}
      </button>
    </section>
  );
}

/** Where the page is not known to an issuer, a token is pasted. */
function Paste() {
  const [given, setGiven] = useState("");
  const [wrong, setWrong] = useState(false);
  const heading = useId();
  return (
    <form
      class="sign-in"
      aria-labelledby={heading}
      onSubmit={(event) => {
        event.preventDefault();
        setWrong(!signIn(given));
      }}
    >
      <h2 id={heading}>{text.signIn.title}</h2>
      <p>{text.signIn.explain}</p>
      <label>
        {text.signIn.label}
        <input
          type="password"
          autocomplete="off"
          value={given}
          aria-invalid={wrong}
          onInput={(event) => setGiven(event.currentTarget.value)}
          required
        />
      </label>
      {(wrong || token.value !== null) && (
        <p class="problem" role="alert">
          {wrong ? text.signIn.wrong : text.signIn.notAccepted}
        </p>
      )}
      <button type="submit" class="primary">
        {text.signIn.go}
      </button>
    </form>
  );
}
