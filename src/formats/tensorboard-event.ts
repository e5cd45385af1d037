/**
 * One record of a TensorBoard event file. Knows nothing of training.
 * Source: TensorBoard's event.proto and summary.proto. Only the fields that this program writes are here.
 */
import { encodeMessage } from "./protobuf/encode.ts";
import type { Messages } from "./protobuf/messages.ts";
import { frameRecord } from "./tfrecord.ts";

const MESSAGES: Messages = {
  event: {
    wallTime: { number: 1, kind: "double", count: "one" },
    step: { number: 2, kind: "int64", count: "one" },
    fileVersion: { number: 3, kind: "string", count: "one" },
    summary: { number: 5, kind: { message: "summary" }, count: "one" },
    sessionLog: { number: 7, kind: { message: "sessionLog" }, count: "one" },
  },
  summary: { values: { number: 1, kind: { message: "value" }, count: "many" } },
  value: {
    tag: { number: 1, kind: "string", count: "one" },
    simpleValue: { number: 2, kind: "float", count: "one" },
  },
  sessionLog: { status: { number: 1, kind: "size", count: "one" } },
};

const SESSION_START = 1;

/** A number under a tag, such as `train/loss`. */
export type Scalars = Readonly<Record<string, number>>;

/** The first record of every file. @param wallTime seconds since 1970 */
export function versionEvent(wallTime: number): Uint8Array {
  return framed({ wallTime, fileVersion: "brain.Event:2" });
}

/** A run begins or resumes here. Readers drop what earlier files of the folder have of this step and of later steps. */
export function startEvent(wallTime: number, step: number): Uint8Array {
  return framed({ wallTime, step, sessionLog: { status: SESSION_START } });
}

/** The values of one step. */
export function scalarsEvent(wallTime: number, step: number, scalars: Scalars): Uint8Array {
  const values = Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue }));
  return framed({ wallTime, step, summary: { values } });
}

function framed(event: Readonly<Record<string, unknown>>): Uint8Array {
  return frameRecord(encodeMessage(MESSAGES, "event", event));
}
