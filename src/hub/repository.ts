/** The files of a repository at one commit, as the Hub lists them. */
import { createHash, type Hash } from "node:crypto";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { type HubName, hubNameText } from "./hub-name.ts";
import { hubFetch, passingFault, SILENCE_MS, withRetries } from "./hub-request.ts";
import type { HubSettings } from "./hub-settings.ts";

/** A file, with the hash that its content must have. */
export interface HubFile {
  /** Path in the repository, with "/". */
  readonly path: string;
  readonly size: number;
  /** SHA-256 of a large file; git's SHA-1 of a small one. The cache names the content by it. */
  readonly hash: string;
}

export interface Repository {
  /** 40 hex digits. */
  readonly commit: string;
  readonly files: readonly HubFile[];
  /** As the model's card states it. */
  readonly licence: string | null;
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const sha1 = z.string().regex(/^[0-9a-f]{40}$/);

const answer = z.object({
  sha: sha1,
  siblings: z.array(
    z.object({
      rfilename: z.string().min(1),
      size: z.number().int().nonnegative().optional(),
      blobId: sha1.optional(),
      lfs: z.object({ sha256, size: z.number().int().nonnegative() }).nullish(),
    }),
  ),
  cardData: z.object({ license: z.union([z.string(), z.array(z.string())]).nullish() }).nullish(),
});

/** Asks for the files of `name`'s revision. @throws {AppError} usage. */
export async function readRepository(name: HubName, settings: HubSettings): Promise<Repository> {
  return await withRetries(name, settings, () => askRepository(name, settings, AbortSignal.timeout(SILENCE_MS)));
}

/** The same in one attempt. @throws {AppError} usage. Any other error may pass. */
export async function askRepository(name: HubName, settings: HubSettings, signal: AbortSignal): Promise<Repository> {
  const path = `/api/models/${name.repo}/revision/${encodeURIComponent(name.revision)}?blobs=true`;
  const response = await hubFetch(name, settings, path, { signal });
  const json: unknown = await response.json().catch((error: unknown) => {
    if (error instanceof SyntaxError) return null;
    throw passingFault(error);
  });
  const { success, data } = answer.safeParse(json);
  if (!success)
    throw new AppError(
      "usage",
      `${settings.endpoint} does not answer as the Hub does, when asked for ${hubNameText(name)}. Check HF_ENDPOINT.`,
    );
  const files = data.siblings.flatMap(({ rfilename, size, blobId, lfs }) => {
    const hash = lfs?.sha256 ?? blobId;
    return hash === undefined || !isInside(rfilename) ? [] : [{ path: rfilename, size: lfs?.size ?? size ?? 0, hash }];
  });
  const licence = data.cardData?.license ?? null;
  return {
    commit: data.sha,
    files,
    licence: typeof licence === "string" || licence === null ? licence : licence.join(", "),
  };
}

/** Where the Hub has a file's content: a path of its server. */
export function contentPath({ repo }: HubName, commit: string, file: HubFile): string {
  return `/${repo}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
}

/** What a file's hash is taken with: SHA-256, or git's SHA-1, which begins with the size. */
export function contentHash({ hash }: HubFile, size: number): Hash {
  return hash.length === 40 ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");
}

/** Whether a path stays inside the directory that it is joined to, on every system. */
function isInside(path: string): boolean {
  const parts = path.split("/");
  return !/[\\:\0]/.test(path) && parts.every((part) => part !== "" && part !== "." && part !== "..");
}
