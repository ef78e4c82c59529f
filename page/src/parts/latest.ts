/** What is wanted changes faster than it can be answered, as while a slider is moved: only the last wish is answered. */

export interface Latest<Wanted> {
  /** Ends what is asked, and asks for this if nothing else is wanted for a moment. */
  want(wanted: Wanted): void;
  /** Ends what is asked. */
  stop(): void;
}

/**
 * At most one request is under way: it is aborted as soon as something else is wanted, and what comes of it all the
 * same is dropped.
 */
export function latest<Wanted, Answer>({
  ask,
  onAnswer,
  onFailure,
  milliseconds,
}: {
  ask: (wanted: Wanted, signal: AbortSignal) => Promise<Answer>;
  onAnswer: (answer: Answer, wanted: Wanted) => void;
  onFailure: (error: unknown) => void;
  milliseconds: number;
}): Latest<Wanted> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | null = null;
  const stop = () => {
    clearTimeout(timer);
    running?.abort();
    running = null;
  };
  const start = (wanted: Wanted) => {
    const own = new AbortController();
    running = own;
    ask(wanted, own.signal).then(
      (answer) => own.signal.aborted || onAnswer(answer, wanted),
      (error: unknown) => own.signal.aborted || onFailure(error),
    );
  };
  return {
    want(wanted) {
      stop();
      timer = setTimeout(() => start(wanted), milliseconds);
    },
    stop,
  };
}
