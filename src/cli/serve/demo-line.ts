/** The line that shows a visitor two adapters answering the same question differently. */

const QUESTION = "Hello, where is my order?";

/** A command for a shell; empty where there are no two adapters. */
export function demoLine(url: string, adapters: readonly string[], needsKey: boolean): string {
  if (adapters.length < 2) return "";
  const key = needsKey ? " -H 'authorization: Bearer '$MOSARA_KEY" : "";
  const body = `{"model":"'$m'","messages":[{"role":"user","content":"${QUESTION}"}],"max_tokens":64,"temperature":0}`;
  return `Try two adapters on one question:\n  for m in ${adapters.slice(0, 2).join(" ")}; do curl -s${key} ${url}/v1/chat/completions -d '${body}'; echo; done\n`;
}
