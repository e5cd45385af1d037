import { AwsV4Signer } from "aws4fetch";
import { expect, it } from "vitest";
import { signedHeaders } from "../../src/object-store/s3-signature.ts";

const TIME = Date.UTC(2026, 10, 29, 20, 30, 0);
const KEY = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };

it.each([
  ["GET", "https://s3.eu-north-1.amazonaws.com/bucket/names/acme/support", {}, undefined, null],
  ["GET", "http://127.0.0.1:8333/bucket/a%20b/it's/(x)!*/n@1", { "if-none-match": '"abc"' }, undefined, "a/session=="],
  ["GET", "http://10.0.0.1:9000/bucket?prefix=names%2Fa+b*&list-type=2&max-keys=10", {}, undefined, null],
  [
    "PUT",
    "http://127.0.0.1:8333/bucket/x",
    { "content-type": "application/octet-stream", "if-match": '"e"' },
    "abc",
    null,
  ],
  ["DELETE", "https://bucket.s3.us-east-1.amazonaws.com/contents/shared/x", {}, undefined, null],
] as const)(
  "signs %s %s as another implementation of AWS Signature Version 4 does",
  async (method, url, headers, text, token) => {
    const credentials = { ...KEY, sessionToken: token };
    const body = text === undefined ? undefined : Buffer.from(text);
    // The second day needs another key.
    for (const time of [TIME, TIME + 86_400_000]) {
      const ours = signedHeaders({ method, url, headers, body }, { region: "eu-north-1", credentials, time });
      const { headers: theirs } = await new AwsV4Signer({
        ...KEY,
        ...(token === null ? {} : { sessionToken: token }),
        service: "s3",
        region: "eu-north-1",
        method,
        url,
        headers: { ...headers, "x-amz-content-sha256": ours["x-amz-content-sha256"] ?? "" },
        datetime: ours["x-amz-date"] ?? "",
        allHeaders: true,
      }).sign();
      expect([...new Headers(ours)]).toEqual([
        ...new Headers({ ...Object.fromEntries(theirs), host: new URL(url).host }),
      ]);
      expect(ours["x-amz-date"]).toBe(time === TIME ? "20261129T203000Z" : "20261130T203000Z");
    }
  },
);
