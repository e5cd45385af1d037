/**
 * What became of the requests of a run: lost, broken, wrong, and how often an adapter stayed with its replica. Pure.
 */
import type { RequestOutcome } from "../client/stream.ts";
import { type Figure, quantile } from "../report/figures.ts";
import type { ClientsRun } from "./clients.ts";
import type { Router } from "./router.ts";

const count = (what: string, value: number, goal?: Figure["goal"]): Figure => ({
  what,
  unit: "",
  samples: [value],
  ...(goal ? { goal } : {}),
});

export function judge({ outcomes, sdk }: ClientsRun, servedBy: Router["servedBy"]): readonly Figure[] {
  const failed = outcomes.filter(({ error }) => error !== null);
  const begun = failed.filter(
    ({ headers, error }) => headers !== null && (error?.status === 200 || error?.status === 0),
  );
  const lost = failed.filter((outcome) => !begun.includes(outcome));
  const firstTokens = outcomes.flatMap(({ error, firstTokenMs }) => (error === null ? [firstTokenMs] : []));
  return [
    count("requests", outcomes.length),
    count(`lost before the answer began ${codesOf(lost)}`.trim(), lost.length, { atMost: 0 }),
    count(`broken after the answer had begun ${codesOf(begun)}`.trim(), begun.length),
    count("… ended as if it were whole", begun.filter(({ error }) => error?.code === "stream_broken").length, {
      atMost: 0,
    }),
    count("answers that differ from another replica's", numDifferent(outcomes), { atMost: 0 }),
    { what: "stayed with the adapter's last replica", unit: "×", samples: [affinity(outcomes, servedBy)] },
    count("OpenAI SDK: complete", sdk.complete),
    ...[...sdk.thrown].map(([name, number]) => count(`OpenAI SDK: threw ${name}`, number)),
    count("OpenAI SDK: ended as if it were whole", sdk.cutInSilence, { atMost: 0 }),
    {
      what: "first token p50",
      unit: "ms",
      samples: [quantile(firstTokens, 0.5)],
    },
    {
      what: "first token p99",
      unit: "ms",
      samples: [quantile(firstTokens, 0.99)],
    },
    { what: "longest request", unit: "ms", samples: [Math.max(...outcomes.map(({ endMs }) => endMs))] },
  ];
}

/** How often each error code came, in words. */
function codesOf(outcomes: readonly RequestOutcome[]): string {
  const counts = new Map<string, number>();
  for (const { error, headers } of outcomes) {
    const code = `${error?.status} ${error?.code}${error?.status === 0 && headers !== null ? ", begun" : ""}`;
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  const parts = [...counts].map(([code, number]) => `${code} × ${number}`);
  return parts.length === 0 ? "" : `(${parts.join("; ")})`;
}

/** Answers that neither equal nor begin the longest answer to the same prompt of the same adapter. */
function numDifferent(outcomes: readonly RequestOutcome[]): number {
  const known = new Map<string, string>();
  let number = 0;
  for (const { request, text } of outcomes) {
    const key = `${request.adapter} ${request.promptIds.join(" ")}`;
    const other = known.get(key) ?? "";
    const [short, long] = text.length < other.length ? [text, other] : [other, text];
    if (long.startsWith(short)) known.set(key, long);
    else number += 1;
  }
  return number;
}

/** The proportion of answers that came from the replica of the same adapter's answer before. */
export function affinity(outcomes: readonly RequestOutcome[], servedBy: Router["servedBy"]): number {
  const lastOf = new Map<string | null, string>();
  let [stayed, all] = [0, 0];
  for (const { request, headers } of outcomes.toSorted((a, b) => a.dueAt - b.dueAt)) {
    const replica = headers === null ? null : servedBy(headers);
    if (replica === null) continue;
    const last = lastOf.get(request.adapter);
    lastOf.set(request.adapter, replica);
    if (last === undefined) continue;
    all += 1;
    if (last === replica) stayed += 1;
  }
  return stayed / all;
}
