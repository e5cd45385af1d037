/** Reads names of models and adapters on the Hugging Face Hub, as users write and paste them. */

/** A repository, or one file of it, at a revision. */
export interface HubName {
  /** `owner/name`. */
  readonly repo: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** Path of a GGUF file in the repository; null: the repository's own choice. */
  readonly file: string | null;
  /** Quantisation of the wanted GGUF file, as in `owner/name:Q4_K_M`; null: none was named. */
  readonly quantisation: string | null;
}

const DEFAULT_REVISION = "main";
const HOSTS = /^(?:hf:\/\/|(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/)/;
const PART = /^[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?$/;
const REVISION = /^[\w][\w./-]*$/;
const COMMIT = /^[0-9a-f]{40}$/;
/** Words between a repository and a revision in the Hub's own addresses. */
const ROUTES = new Set(["tree", "resolve", "blob"]);

/**
 * Reads `owner/name`, `owner/name@revision`, `owner/name/file.gguf`, `owner/name:Q4_K_M`, `hf.co/…` and addresses of
 * the Hub's pages.
 * @returns null for text that names nothing on the Hub
 */
export function parseHubName(text: string): HubName | null {
  const path = text.replace(HOSTS, "").replace(/\/+$/, "");
  const [owner = "", tail = "", ...rest] = path.split("/");
  const [, name = "", quantisation = null, at = null] = /^([^:@]*)(?::([^@]+))?(?:@(.+))?$/.exec(tail) ?? [];
  if (!PART.test(owner) || !PART.test(name) || path.includes("..")) return null;
  const repo = `${owner}/${name}`;
  if (rest.length === 0) return named(repo, at ?? DEFAULT_REVISION, null, quantisation);
  // refs/pr/1
  if (at !== null && !rest.at(-1)?.endsWith(".gguf")) return named(repo, [at, ...rest].join("/"), null, quantisation);
  if (quantisation !== null) return null;
  const [route = "", revision = "", ...file] = rest;
  if (ROUTES.has(route) && revision !== "") return named(repo, revision, file.length > 0 ? file.join("/") : null, null);
  const [, filePath = "", fileRevision] = /^(.+\.gguf)(?:@(.+))?$/.exec(rest.join("/")) ?? [];
  return filePath === "" ? null : named(repo, at ?? fileRevision ?? DEFAULT_REVISION, filePath, null);
}

function named(repo: string, revision: string, file: string | null, quantisation: string | null): HubName | null {
  if (!REVISION.test(revision)) return null;
  if (file !== null && !file.endsWith(".gguf")) return null;
  return { repo, revision, file, quantisation };
}

/** Whether a revision always means the same files. */
export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** The name as a user would write it. */
export function hubNameText({ repo, revision, file, quantisation }: HubName): string {
  const tag = quantisation === null ? "" : `:${quantisation}`;
  return `${repo}${tag}${file === null ? "" : `/${file}`}${revision === DEFAULT_REVISION ? "" : `@${revision}`}`;
}
