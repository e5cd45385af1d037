/**
 * A server with the Hub's routes: a repository's files at a revision, and their contents, large ones by a redirect to
 * another origin. Source of routes and headers: huggingface_hub's `HfApi.model_info` and `hf_hub_url`. Faults are
 * switched on by the tests.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

export interface FakeRepository {
  /** Path → content. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Paths of large files. Others are git's. */
  readonly large: ReadonlySet<string>;
  readonly commit: string;
  readonly isGated?: boolean;
  readonly licence?: string;
}

export interface HubRequest {
  readonly origin: "hub" | "storage";
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

export interface HubFaults {
  /** The storage closes the connection after so many bytes of an answer. */
  breaksAfter: number | null;
  /** The storage ignores ranges. */
  ignoresRanges: boolean;
  /** The storage answers other bytes. */
  corrupts: boolean;
  /** The hub answers so many requests with 503 first. */
  busyTimes: number;
}

export interface FakeHub extends AsyncDisposable {
  readonly url: string;
  readonly repositories: Map<string, FakeRepository>;
  readonly requests: HubRequest[];
  readonly faults: HubFaults;
}

const TOKEN = "Bearer hf_good";
const hashOf = (path: string, bytes: Buffer, large: ReadonlySet<string>): string =>
  large.has(path) ? createHash("sha256").update(bytes).digest("hex") : gitHash(bytes);

export const gitHash = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

export async function startHub(): Promise<FakeHub> {
  const repositories = new Map<string, FakeRepository>();
  const requests: HubRequest[] = [];
  const faults: HubFaults = { breaksAfter: null, ignoresRanges: false, corrupts: false, busyTimes: 0 };
  const note = (origin: HubRequest["origin"], { url = "", headers }: IncomingMessage): void =>
    void requests.push({ origin, path: url, authorization: headers.authorization, range: headers.range });
  const storage = await listening((request, response) => {
    note("storage", request);
    const [, owner = "", name = "", path = ""] = /^\/([^/]+)\/([^/]+)\/(.*)$/.exec(request.url ?? "") ?? [];
    const bytes = repositories.get(`${owner}/${name}`)?.files.get(decodeURIComponent(path));
    sendContent(request, response, bytes, faults);
  });
  const hub = await listening((request, response) => {
    note("hub", request);
    if (faults.busyTimes > 0) {
      faults.busyTimes -= 1;
      return void response.writeHead(503, { "retry-after": "0" }).end();
    }
    answer(request, response, repositories, urlOf(storage));
  });
  return {
    url: urlOf(hub),
    repositories,
    requests,
    faults,
    [Symbol.asyncDispose]: async () => {
      for (const server of [hub, storage]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

function answer(
  { url = "", headers, method }: IncomingMessage,
  response: ServerResponse,
  repositories: ReadonlyMap<string, FakeRepository>,
  storageUrl: string,
): void {
  const { pathname } = new URL(url, "http://hub");
  const [, repo = "", revision = "main"] =
    /^\/api\/models\/([^/]+\/[^/]+)(?:\/revision\/([^/]+))?$/.exec(pathname) ?? [];
  const resolved = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
  const repository = repositories.get(repo || (resolved?.[1] ?? ""));
  if (!repository) return refuse(response, 401, "RepoNotFound");
  const { commit, files, large, licence } = repository;
  const wanted = decodeURIComponent(resolved?.[2] ?? revision);
  if (wanted !== "main" && wanted !== commit) return refuse(response, 404, "RevisionNotFound");
  if (resolved === null) {
    const siblings = [...files].map(([rfilename, bytes]) => ({
      rfilename,
      size: bytes.length,
      blobId: gitHash(bytes),
      ...(large.has(rfilename)
        ? { lfs: { sha256: hashOf(rfilename, bytes, large), size: bytes.length, pointerSize: 130 } }
        : {}),
    }));
    const card = licence === undefined ? {} : { cardData: { license: licence } };
    response.writeHead(200, { "content-type": "application/json" });
    return void response.end(JSON.stringify({ id: repo, sha: commit, siblings, ...card }));
  }
  if (repository.isGated === true && headers.authorization !== TOKEN) return refuse(response, 403, "GatedRepo");
  const path = decodeURIComponent(resolved[3] ?? "");
  const bytes = files.get(path);
  if (!bytes) return refuse(response, 404, "EntryNotFound");
  const hash = hashOf(path, bytes, large);
  const head = { "x-repo-commit": commit, "content-length": String(bytes.length), etag: `"${hash}"` };
  if (!large.has(path)) return void response.writeHead(200, head).end(method === "HEAD" ? undefined : bytes);
  response.writeHead(302, {
    location: `${storageUrl}/${resolved[1]}/${path}`,
    "x-repo-commit": commit,
    "x-linked-etag": `"${hash}"`,
    "x-linked-size": String(bytes.length),
  });
  response.end();
}

const refuse = (response: ServerResponse, status: number, code: string): void =>
  void response.writeHead(status, { "x-error-code": code }).end();

function sendContent(
  { headers }: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer | undefined,
  { breaksAfter, ignoresRanges, corrupts }: HubFaults,
): void {
  if (bytes === undefined) return void response.writeHead(404).end();
  const from = ignoresRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
  const body = Buffer.from(bytes.subarray(from));
  if (corrupts && body.length > 0) body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
  const range = from > 0 ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
  response.writeHead(from > 0 ? 206 : 200, { "content-length": String(body.length), ...range });
  if (breaksAfter === null || breaksAfter >= body.length) return void response.end(body);
  response.write(body.subarray(0, breaksAfter), () => response.destroy());
}

async function listening(onRequest: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(onRequest).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
