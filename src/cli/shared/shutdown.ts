/**
 * Signals. The first asks for a graceful stop, a second ends the program at once. Engine processes end with the
 * program.
 */

/**
 * A second signal within this time is a copy of the first. The terminal sends a signal to the whole group, and npm
 * forwards it once more.
 */
const SAME_SIGNAL_MS = 500;

/** Resolves with the first SIGTERM or SIGINT. */
export async function waitForSignal(): Promise<NodeJS.Signals> {
  return await new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      if (firstAt !== undefined && performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(1);
      firstAt ??= performance.now();
      resolve(signal);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
