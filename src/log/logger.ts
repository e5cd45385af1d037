/**
 * The server's log on stderr: one JSON object a line by pino, or a readable form on a terminal. stdout is only for
 * results. It replaces the server's keys everywhere in a line. Knows nothing of requests.
 */
import { type DestinationStream, type Logger, pino } from "pino";
import { readableLine } from "./readable-line.ts";
import { keyRedactor, REDACTED } from "./redact.ts";

/** Maximum number of lines that wait for a slow reader of stderr. Further lines are dropped and counted. */
const MAX_WAITING_BYTES = 2 ** 20;

export interface LoggerOptions {
  readonly level: string;
  /** Keys that must not appear. A key shorter than 8 characters is replaced only as a word of its own. */
  readonly keys: readonly string[];
}

/** Where the lines go. */
export interface LogOutput {
  readonly isTerminal: boolean;
  write(text: string): void;
}

/** A logger to stderr. */
export function createLogger(options: LoggerOptions): Logger {
  if (process.stderr.isTTY) return loggerTo({ isTerminal: true, write: (text) => process.stderr.write(text) }, options);
  // Not synchronous, because a full pipe without a reader would stop the server.
  const destination = pino.destination({ fd: 2, sync: false, maxLength: MAX_WAITING_BYTES });
  const log = build(destination, options);
  let numDropped = 0;
  destination.on("drop", () => (numDropped += 1));
  destination.on("drain", () => {
    if (numDropped === 0) return;
    const dropped = numDropped;
    numDropped = 0;
    log.warn({ dropped }, "lines of the log were dropped, because nothing read stderr fast enough");
  });
  return log;
}

/** The same logger, to any output. */
export function loggerTo(output: LogOutput, options: LoggerOptions): Logger {
  return build({ write: (line) => output.write(output.isTerminal ? readableLine(line) : line) }, options);
}

function build(destination: DestinationStream, { level, keys }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ["authorization", "*.authorization", "*.*.authorization"], censor: REDACTED },
      hooks: { streamWrite: keyRedactor(keys) },
    },
    destination,
  );
}
