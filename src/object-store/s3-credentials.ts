/**
 * Credentials for a bucket: fixed ones, or temporary ones that Amazon's Security Token Service (STS) gives for the
 * identity of a Kubernetes service account. Temporary ones are renewed before they end. Source: AWS STS API reference,
 * AssumeRoleWithWebIdentity.
 */
import { readFile } from "node:fs/promises";
import { type Answer, sendRequest } from "./http-request.ts";
import { StoreRefusal } from "./object-store.ts";
import { PassingFault } from "./request-policy.ts";

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

/** A role, and the file of the token that allows a server to assume it. Kubernetes replaces the file now and then. */
export interface WebIdentity {
  readonly roleArn: string;
  readonly tokenFile: string;
  readonly sessionName: string;
  /** Address of STS. */
  readonly endpoint: string;
}

export interface CredentialSource {
  /** @throws {PassingFault} @throws {StoreRefusal} */
  get(signal: AbortSignal): Promise<S3Credentials>;
  /** The store says that these have expired. @returns whether there may be others */
  reject(credentials: S3Credentials): boolean;
}

/** @param url of the store, for messages */
export function credentialSource(url: string, from: S3Credentials | WebIdentity): CredentialSource {
  if ("roleArn" in from) return new AssumedRole(url, from);
  return { get: () => Promise.resolve(from), reject: () => false };
}

const MAX_ANSWER_BYTES = 2 ** 16;
/** Credentials that end sooner than this are renewed in the background. */
const RENEW_BEFORE_MS = 300_000;
/** Between two attempts at that. */
const PAUSE_MS = 10_000;
/** Of such an attempt. Requests may have to wait for it when the credentials end meanwhile. */
const BACKGROUND_LIMIT_MS = 2_500;
/** Codes of STS that may pass. It throttles with status 400. Source: botocore's table of retries, AWS STS reference. */
const PASSING_CODES = ["IDPCommunicationError", "Throttling", "ThrottlingException", "RequestLimitExceeded"];

interface Temporary {
  readonly credentials: S3Credentials;
  /** On the clock of `performance.now()`, so a wrong clock here does not matter. */
  readonly endsAt: number;
}

class AssumedRole implements CredentialSource {
  readonly #url: string;
  readonly #identity: WebIdentity;
  #current: Temporary | null = null;
  /** When a renewal in the background may begin. */
  #renewAt = 0;
  #renewing: Promise<S3Credentials> | null = null;

  constructor(url: string, identity: WebIdentity) {
    this.#url = url;
    this.#identity = identity;
  }

  async get(signal: AbortSignal): Promise<S3Credentials> {
    const now = performance.now();
    const left = (this.#current?.endsAt ?? -Infinity) - now;
    if (!this.#current || left <= 0) return await this.#renewOnce(signal);
    if (left < RENEW_BEFORE_MS && now > this.#renewAt) {
      this.#renewAt = now + PAUSE_MS;
      // STS may fail as long as these are valid. A fault that lasts is thrown when they are not.
      this.#renewOnce(AbortSignal.timeout(BACKGROUND_LIMIT_MS)).catch(() => {});
    }
    return this.#current.credentials;
  }

  reject(credentials: S3Credentials): boolean {
    if (this.#current?.credentials === credentials) this.#current = null;
    return true;
  }

  /** One renewal at a time. The signal of the first caller limits it, which has begun no later than the others. */
  async #renewOnce(signal: AbortSignal): Promise<S3Credentials> {
    this.#renewing ??= this.#renew(signal).finally(() => (this.#renewing = null));
    return await this.#renewing;
  }

  async #renew(signal: AbortSignal): Promise<S3Credentials> {
    const { endpoint, roleArn, sessionName, tokenFile } = this.#identity;
    const body = new URLSearchParams({
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      WebIdentityToken: (await this.#readToken(tokenFile)).trim(),
    });
    const { status, header, bytes } = await this.#ask(body, signal);
    const text = Buffer.from(bytes).toString();
    const field = (name: string): string => new RegExp(`<${name}>\\s*([^<]+?)\\s*</${name}>`).exec(text)?.[1] ?? "";
    if (status !== 200) throw this.#refusal(status, field("Code"));
    const [accessKeyId, secretAccessKey, sessionToken] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(field);
    const endsMs = Date.parse(field("Expiration")) - Date.parse(header("date") ?? new Date().toUTCString());
    if (!accessKeyId || !secretAccessKey || !sessionToken || !Number.isFinite(endsMs))
      throw new PassingFault(`${endpoint} answers a request for credentials with something else`);
    const credentials = { accessKeyId, secretAccessKey, sessionToken };
    this.#current = { credentials, endsAt: performance.now() + endsMs };
    return credentials;
  }

  /** An answer to anything but this request is a fault of STS, so its messages name STS and not the store. */
  async #ask(body: URLSearchParams, signal: AbortSignal): Promise<Answer> {
    const { endpoint } = this.#identity;
    try {
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const request = { method: "POST", url: endpoint, headers, body: body.toString() };
      return await sendRequest({ ...request, signal, maxBytes: MAX_ANSWER_BYTES });
    } catch (error) {
      const { message } = error as Error;
      throw new PassingFault(`${endpoint} gives no credentials: ${message}`, { cause: error });
    }
  }

  async #readToken(file: string): Promise<string> {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new StoreRefusal(this.#url, `the file ${file} of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read (${code})`);
    }
  }

  /** @param code of STS, such as AccessDenied or InvalidIdentityToken */
  #refusal(status: number, code: string): Error {
    const { endpoint, roleArn } = this.#identity;
    const what = `${endpoint} gives no credentials for the role ${roleArn}: status ${status}${/^\w{1,80}$/.test(code) ? ` (${code})` : ""}`;
    return PASSING_CODES.includes(code) ? new PassingFault(what) : new StoreRefusal(this.#url, what);
  }
}
