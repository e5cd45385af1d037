/** Settings of the Hub, from the environment variables that every tool of the Hub reads. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { AppError } from "../errors.ts";

export interface HubSettings {
  /** Address without a slash at its end. */
  readonly endpoint: string;
  /** The cache directory that transformers uses too. */
  readonly cacheDir: string;
  readonly token: string | null;
  /** true: nothing is downloaded, and only files in the cache are used. */
  readonly isOffline: boolean;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const TRUE = /^(1|on|yes|true)$/i;

/**
 * Reads HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_TOKEN_PATH and HF_HUB_OFFLINE.
 * Source of names and defaults: huggingface_hub's documentation, "Environment variables".
 * @throws {AppError} usage for an endpoint that is no address.
 */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const endpoint = (env.HF_ENDPOINT || DEFAULT_ENDPOINT).replace(/\/+$/, "");
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new AppError("usage", `HF_ENDPOINT must be an http or https address, but is "${endpoint}".`);
  return {
    endpoint,
    cacheDir: env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"),
    token: env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || tokenIn(env.HF_TOKEN_PATH || join(home, "token")),
    isOffline: TRUE.test(env.HF_HUB_OFFLINE ?? "") || TRUE.test(env.TRANSFORMERS_OFFLINE ?? ""),
  };
}

/** The token that `hf auth login` has stored. */
function tokenIn(path: string): string | null {
  return existsSync(path) ? readFileSync(path, "utf8").trim() || null : null;
}
