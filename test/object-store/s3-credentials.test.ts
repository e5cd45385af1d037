/**
 * Credentials by the identity of a service account, from a stand-in for STS that checks every request, and one for S3.
 */
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { RequestPolicy } from "../../src/object-store/request-policy.ts";
import { S3Objects } from "../../src/object-store/s3-objects.ts";
import { s3Settings } from "../../src/object-store/s3-settings.ts";
import { tempDir, until } from "../helpers/server.ts";

const ROLE = "arn:aws:iam::123456789012:role/adapters";
const HOUR_MS = 3_600_000;

/** What STS answers now: a status and code, or credentials that are valid for so long. */
let answer: { readonly refuses: readonly [number, string] } | { readonly validMs: number };
/** Forms that STS got. */
let forms: Record<string, string>[];
/** The keys with which S3's requests were signed, and their session tokens. */
let signers: string[];
/** A key whose requests S3 refuses as expired. */
let expired: string;
let tokenFile: string;
let servers: ReturnType<typeof createServer>[];
let env: Record<string, string>;

const listen = async (handle: (request: IncomingMessage, body: string, response: ServerResponse) => void) => {
  const server = createServer((request, response) => {
    void request.toArray().then((parts) => handle(request, Buffer.concat(parts).toString(), response));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

beforeEach(async () => {
  [forms, signers, servers, expired, answer] = [[], [], [], "", { validMs: HOUR_MS }];
  tokenFile = join(tempDir(), "token");
  writeFileSync(tokenFile, "token-1\n");
  const sts = await listen(({ method, url, headers }, body, response) => {
    expect([method, url]).toEqual(["POST", "/"]);
    expect(headers["content-type"]).toMatch(/^application\/x-www-form-urlencoded/);
    expect(headers.authorization).toBeUndefined();
    forms.push(Object.fromEntries(new URLSearchParams(body)));
    if ("refuses" in answer) {
      const [status, code] = answer.refuses;
      return response.writeHead(status).end(`<ErrorResponse><Error><Code>${code}</Code></Error></ErrorResponse>`);
    }
    // As in AWS' documentation of the action. Its clock is an hour before this machine's.
    const theirs = Date.now() - HOUR_MS;
    const number = forms.length;
    return response.writeHead(200, { date: new Date(theirs).toUTCString() }).end(`
      <AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeRoleWithWebIdentityResult>
          <Credentials>
            <SessionToken>session/${number}==</SessionToken>
            <SecretAccessKey>secret-${number}</SecretAccessKey>
            <Expiration>${new Date(theirs + answer.validMs).toISOString()}</Expiration>
            <AccessKeyId>KEY${number}</AccessKeyId>
          </Credentials>
        </AssumeRoleWithWebIdentityResult>
      </AssumeRoleWithWebIdentityResponse>`);
  });
  const s3 = await listen(({ headers }, _, response) => {
    const key = /Credential=(\w+)\//.exec(headers.authorization ?? "")?.[1] ?? "";
    signers.push(`${key} ${headers["x-amz-security-token"]?.toString()}`);
    if (key === expired) return response.writeHead(400).end("<Error><Code>ExpiredToken</Code></Error>");
    return response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>");
  });
  env = {
    AWS_ROLE_ARN: ROLE,
    AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
    AWS_ENDPOINT_URL_STS: sts,
    AWS_ENDPOINT_URL_S3: s3,
  };
});
afterEach(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

const open = () =>
  new S3Objects(s3Settings("s3://bucket", env), new RequestPolicy("s3://bucket", { timeoutMs: 60_000 }));
const read = async (objects: S3Objects) => await objects.get("names/a/n", { maxBytes: 1000 });
const codeOf = async (work: Promise<unknown>) =>
  await work.then(
    () => "none",
    (error: unknown) => error as Error & { code: string },
  );

it("assume the role once for many requests, and sign with what they got", async () => {
  const objects = open();
  await Promise.all([1, 2, 3, 4].map(async () => await read(objects)));
  expect(forms).toEqual([
    {
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: ROLE,
      RoleSessionName: "mosara",
      WebIdentityToken: "token-1",
    },
  ]);
  expect(signers).toEqual(Array(4).fill("KEY1 session/1=="));
});

it("are renewed before they end, with the token that the file has then", async () => {
  answer = { validMs: 60_000 };
  const objects = open();
  await read(objects);
  writeFileSync(tokenFile, "token-2");
  answer = { validMs: HOUR_MS };
  await until("the renewal", async () => {
    await read(objects);
    return signers.at(-1) === "KEY2 session/2==";
  });
  expect(forms.map(({ WebIdentityToken }) => WebIdentityToken)).toEqual(["token-1", "token-2"]);
});

it("serve on while STS fails, as long as they are valid", async () => {
  answer = { validMs: 60_000 };
  const objects = open();
  await read(objects);
  answer = { refuses: [500, "InternalFailure"] };
  for (let i = 0; i < 3; i++) expect(await read(objects)).toBe("absent");
  await until("an attempt to renew", () => forms.length === 2);
  expect(new Set(signers)).toEqual(new Set(["KEY1 session/1=="]));
});

it("are replaced when the store says that they have expired", async () => {
  expired = "KEY1";
  expect(await read(open())).toBe("absent");
  expect(signers).toEqual(["KEY1 session/1==", "KEY2 session/2=="]);
});

it("are refused with STS' reason, which never shows the token", async () => {
  answer = { refuses: [403, "AccessDenied"] };
  const refused = await codeOf(read(open()));
  expect(refused).toMatchObject({ code: "store_unavailable" });
  expect(String(refused)).toContain("status 403 (AccessDenied)");
  expect(String(refused)).toContain(ROLE);
  expect(String(refused)).not.toContain("token-1");
  expect(signers).toEqual([]);
  env.AWS_WEB_IDENTITY_TOKEN_FILE = "/nowhere/token";
  expect(String(await codeOf(read(open())))).toMatch(/\/nowhere\/token .*ENOENT/);
});

it("are asked for again when STS throttles, and its faults bear its name and not the store's", async () => {
  answer = { refuses: [400, "Throttling"] };
  const objects = open();
  const first = read(objects);
  await until("a refused attempt", () => forms.length === 1);
  answer = { validMs: HOUR_MS };
  expect(await first).toBe("absent");
  answer = { refuses: [503, "ServiceUnavailable"] };
  const failed = await codeOf(read(open()));
  expect(failed).toMatchObject({ code: "store_unavailable" });
  expect(String(failed)).toContain(`${env.AWS_ENDPOINT_URL_STS} gives no credentials: it answers with status 503`);
});

it("come after fixed credentials, as in every tool of Amazon", async () => {
  Object.assign(env, { AWS_ACCESS_KEY_ID: "FIXED", AWS_SECRET_ACCESS_KEY: "secret" });
  await read(open());
  expect([forms, signers]).toEqual([[], ["FIXED undefined"]]);
  expect(() => s3Settings("s3://bucket", {})).toThrow(/AWS_ROLE_ARN/);
});
