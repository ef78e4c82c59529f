/** Signing in, in whichever place one may click. */

import { useId, useState } from "preact/hooks";
import { signIn } from "../api";
import { text } from "../text";

/** Until signing in is built, a token is pasted; whatever was typed below stays. */
export function SignIn() {
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
      {wrong && (
        <p class="problem" role="alert">
          {text.signIn.wrong}
        </p>
      )}
      <button type="submit" class="primary">
        {text.signIn.go}
      </button>
    </form>
  );
}
