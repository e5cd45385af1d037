/** Credentials by web identity from the STS of SeaweedFS, for tokens that an issuer of the test has signed. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Seaweed, startSeaweed } from "../../load-tests/processes/seaweed.ts";
import { RequestPolicy } from "../../src/object-store/request-policy.ts";
import { S3Objects } from "../../src/object-store/s3-objects.ts";
import { s3Settings } from "../../src/object-store/s3-settings.ts";
import { hasSeaweed } from "../helpers/outside/seaweed.ts";
import { tempDir } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 240_000 });
const ROLE = "arn:aws:iam::role/Adapters";
const AUDIENCE = "mosara";

/** What Kubernetes is for its service accounts: it signs tokens, and publishes the key that checks them. */
interface Issuer {
  readonly url: string;
  readonly server: Server;
  readonly key: KeyObject;
}

async function startIssuer(): Promise<Issuer> {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = [{ ...publicKey.export({ format: "jwk" }), kid: "key", use: "sig", alg: "RS256" }];
  const server = createServer((_, response) => response.end(JSON.stringify({ keys })));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, key: privateKey };
}

/** A JSON Web Token (RFC 7519), valid for ten minutes from `now` (seconds). */
function tokenOf({ url, key }: Issuer, audience: string, now = Math.floor(Date.now() / 1000)): string {
  const claims = { iss: url, sub: "system:serviceaccount:models:mosara", aud: audience, iat: now, exp: now + 600 };
  const parts = [{ alg: "RS256", kid: "key", typ: "JWT" }, claims];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${text}.${sign("RSA-SHA256", Buffer.from(text), key).toString("base64url")}`;
}

/** Everybody with a token of the issuer for the audience may assume the one role, which may do everything. */
function rolesFor({ url }: Issuer): object {
  const statement = (rest: object) => ({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...rest }] });
  const trust = statement({ Principal: { Federated: "cluster" }, Action: ["sts:AssumeRoleWithWebIdentity"] });
  const config = { issuer: url, clientId: AUDIENCE, jwksUri: `${url}/keys`, roleMapping: { defaultRole: ROLE } };
  return {
    sts: {
      tokenDuration: "1h",
      maxSessionLength: "12h",
      issuer: "sts",
      signingKey: Buffer.alloc(32, 7).toString("base64"),
    },
    providers: [{ name: "cluster", type: "oidc", enabled: true, config }],
    policy: { defaultEffect: "Deny", storeType: "memory" },
    roles: [{ roleName: "Adapters", roleArn: ROLE, trustPolicy: trust, attachedPolicies: ["All"] }],
    policies: [{ name: "All", document: statement({ Action: ["s3:*", "sts:ValidateSession"], Resource: ["*"] }) }],
  };
}

describe.skipIf(!hasSeaweed("web identity"))("a web identity", () => {
  let issuer: Issuer;
  let seaweed: Seaweed;
  let tokenFile: string;
  beforeAll(async () => {
    issuer = await startIssuer();
    seaweed = await startSeaweed(tempDir(), { maxVolumes: 4, volumeMB: 64, roles: rolesFor(issuer) });
    tokenFile = join(tempDir(), "token");
  });
  afterAll(async () => {
    await seaweed?.[Symbol.asyncDispose]();
    issuer?.server.close();
  });
  const objectsWith = (token: string, role = ROLE): S3Objects => {
    writeFileSync(tokenFile, token);
    const env = { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ENDPOINT_URL: seaweed.endpoint };
    const url = `s3://${seaweed.bucket}/shared`;
    return new S3Objects(s3Settings(url, env), new RequestPolicy(url, { timeoutMs: 60_000 }));
  };

  it("reads, writes and lists a bucket", async () => {
    const objects = objectsWith(tokenOf(issuer, AUDIENCE));
    const written = await objects.put("names/a", Buffer.from("hello"), { ifNoneMatch: "*" });
    expect(await objects.put("names/a", Buffer.from("other"), { ifNoneMatch: "*" })).toBe("conflict");
    const read = await objects.get("names/a", { maxBytes: 100 });
    expect(read).toMatchObject({ bytes: Buffer.from("hello"), etag: (written as { etag: string }).etag });
    expect(await objects.list("names/", { limit: 10 })).toEqual({
      objects: [{ key: "names/a", bytes: 5 }],
      hasMore: false,
    });
  });

  it("is refused with the reason of STS", async () => {
    const reasonOf = async (objects: S3Objects) =>
      await objects.get("names/a", { maxBytes: 100 }).then(String, (error: Error) => error.message);
    const old = tokenOf(issuer, AUDIENCE, 1_000_000_000);
    expect(await reasonOf(objectsWith(old))).toMatch(/role .*Adapters: status 400 \(ExpiredTokenException\)/);
    const foreign = objectsWith(tokenOf(issuer, "another-service"));
    expect(await reasonOf(foreign)).toMatch(/gives no credentials for the role .*: status 40\d \(\w+\)/);
    const nobody = objectsWith(tokenOf(issuer, AUDIENCE), "arn:aws:iam::role/Nobody");
    expect(await reasonOf(nobody)).toMatch(/Nobody: status 403 \(AccessDenied\)/);
  });
});
