/** A line of the log as a person reads it on a terminal: time of day, level, message, and the rest as `name=value`. */

/** Everything that moves the cursor, rings or colours. */
const CONTROL = /\p{Cc}/gu;

/** @param line one JSON object, as pino writes it */
export function readableLine(line: string): string {
  const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const clock = typeof time === "string" ? time.slice(11, 19) : "";
  const facts = Object.entries(rest).map(([name, value]) => `${name}=${shown(value)}`);
  const parts = [clock, String(level).toUpperCase().padEnd(5), escaped(text(msg)), ...facts];
  const { stack, message } = (err ?? {}) as { stack?: string; message?: string };
  const story = stack ?? message;
  const lines = story === undefined ? [] : story.split("\n").map((one) => `         ${escaped(one)}`);
  return `${[parts.filter((part) => part !== "").join(" "), ...lines].join("\n")}\n`;
}

function shown(value: unknown): string {
  if (typeof value === "number") return String(Math.round(value * 1e4) / 1e4);
  if (typeof value !== "string") return escaped(JSON.stringify(value));
  return /^[\w.:/+-]+$/.test(value) ? value : escaped(JSON.stringify(value));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A caller's text must not move the cursor or change colours. */
function escaped(value: string): string {
  return value.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
