/** Records against the bytes of the `tensorboard` package 2.21.0 (its protobuf classes and its RecordWriter). */
import { expect, it } from "vitest";
import { scalarsEvent, startEvent, versionEvent } from "../../src/formats/tensorboard-event.ts";
import { crc32c } from "../../src/formats/tfrecord.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

// Source: RFC 3720, appendix B.4.
it.each([
  ["32 zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["0 to 31", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
])("has RFC 3720's checksum of %s", (_, bytes, wanted) => {
  expect(crc32c(bytes)).toBe(wanted);
});

it("writes tensorboard's first record", () => {
  expect(hex(versionEvent(1700000000.5))).toBe(
    "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110",
  );
});

it("writes tensorboard's start of a session", () => {
  expect(hex(startEvent(1700000000.5, 301))).toBe("100000000000000095fbfe180900002040fc54d94110ad023a020801596f3f79");
});

it("writes tensorboard's scalars", () => {
  expect(hex(scalarsEvent(1700000001.25, 300, { "train/loss": 2.5, "train/learning_rate": 0.1 }))).toBe(
    "3d000000000000006049f1ec0900005040fc54d94110ac022a2f0a110a0a747261696e2f6c6f737315000020400a1a0a13747261696e2f6c6561726e696e675f7261746515cdcccc3dc11d3850",
  );
});
