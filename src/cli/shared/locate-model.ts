/**
 * Finds what a user names: a path on this machine, a short name, or a repository of the Hub, which is fetched into the
 * cache.
 */
import { existsSync } from "node:fs";
import { ALIASES } from "../../hub/aliases.ts";
import { fetchFromHub, type HubReporter } from "../../hub/fetch-from-hub.ts";
import { type HubName, parseHubName } from "../../hub/hub-name.ts";
import { hubSettings } from "../../hub/hub-settings.ts";
import { noModelError } from "./no-model.ts";
import { Progress } from "./progress.ts";

/** The path of a model. It must exist. Its kind is not checked. @throws {AppError} usage */
export async function locateModel(model: string): Promise<string> {
  if (existsSync(model)) return model;
  const name = hubNameOf(model);
  if (name === null) throw await noModelError(model);
  return await fetched(name, "model");
}

/** The path of a PEFT adapter's directory; null: the text names nothing here and nothing on the Hub. */
export async function locateAdapter(adapter: string): Promise<string | null> {
  if (existsSync(adapter)) return adapter;
  const name = parseHubName(adapter);
  return name === null ? null : await fetched(name, "adapter");
}

/** The repository that a short name or a name of the Hub stands for, unless a path of that name exists. */
export function hubNameOf(model: string): HubName | null {
  return existsSync(model) ? null : parseHubName(ALIASES.get(model.toLowerCase()) ?? model);
}

async function fetched(name: HubName, kind: "model" | "adapter"): Promise<string> {
  const progress = new Progress();
  const reporter: HubReporter = {
    note: (line) => void process.stderr.write(`${line}\n`),
    progress: (done, detail) => progress.update("download", done, detail),
  };
  return await fetchFromHub(name, kind, hubSettings(), reporter).finally(() => progress.end());
}
