/** docs/reference/errors.md, made from the table of codes. */
import { ERRORS } from "../error-table.ts";

/** The Markdown text. */
export function errorsDocument(): string {
  const rows = Object.entries(ERRORS);
  const isHttp = ([code, { status }]: (typeof rows)[number]): boolean => status !== 500 || code === "internal_error";
  const overHttp = rows.filter(isHttp).sort(([, a], [, b]) => a.status - b.status);
  const ofCommands = rows.filter((row) => !isHttp(row));
  return `# Errors

<!-- Made from src/http/error-table.ts by \`node dist/scripts/make-docs.js\`. -->

An error response is \`{"error": {"message", "type", "param", "code"}}\`. Compare \`code\`, because the message may change.
\`param\` names the offending field, or is null. A stream that fails ends with the same object in a \`data:\` line.
Responses with 429 and 503 carry \`Retry-After\` in seconds. Every response carries \`x-request-id\`.

## Over HTTP

| code | status | meaning | remedy |
| --- | --- | --- | --- |
${overHttp.map(([code, { status, meaning, remedy }]) => `| \`${code}\` | ${status} | ${meaning} | ${remedy} |`).join("\n")}

## On the command line

A command prints one line on stderr and exits with 1, or with 2 for \`usage\`. \`--debug\` adds the stack trace.

| code | meaning | remedy |
| --- | --- | --- |
${ofCommands.map(([code, { meaning, remedy }]) => `| \`${code}\` | ${meaning} | ${remedy} |`).join("\n")}
`;
}
