/**
 * The engine process from the inside. It opens the model, runs the loop, speaks over this process's IPC channel, and
 * ends with its parent. The caller chooses the model: `engine-process.ts` passes the real one.
 */
import { AppError, toWire } from "../../errors.ts";
import { EngineLoop } from "./engine-loop.ts";
import type { EngineCommand, EngineEvent, EngineLimits, EngineOptions } from "../protocol.ts";
import type { ModelRunner } from "../contracts.ts";

/** A runner, with its device and the result of its self-test on the real graph. */
export type OpenedRunner = ModelRunner & Pick<EngineLimits, "isBatchInvariant" | "device" | "capacity">;
export type OpenRunner = (options: EngineOptions) => Promise<OpenedRunner>;

/** Maximum time that an ending process waits for its last message to be sent, or for open resources to be closed. */
const LAST_MS = 1000;

/** Turns this process into an engine. Its first message must be `engine-started`. */
export function hostEngine(openRunner: OpenRunner): void {
  // Ctrl-C reaches the whole process group, but only the parent decides when engines end.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  process.on("uncaughtException", failEngine);
  process.on("unhandledRejection", failEngine);

  const early: EngineCommand[] = [];
  let loop: EngineLoop | null = null;
  const receive = (command: EngineCommand): void => {
    if (loop !== null) return loop.handle(command);
    if (command.type !== "engine-started") return void early.push(command);
    const { options } = command;
    serve(options, openRunner, (started) => {
      loop = started;
      for (const waiting of early) loop.handle(waiting);
    }).catch(failEngine);
  };
  process.on("message", receive);
  // The parent has ended, or this process has closed all its resources and left the channel.
  process.on("disconnect", () => {
    receive({ type: "engine-stopped" });
    setTimeout(endNow, LAST_MS).unref();
  });
}

async function serve(
  options: EngineOptions,
  openRunner: OpenRunner,
  onLoop: (loop: EngineLoop) => void,
): Promise<void> {
  const runner = await openRunner(options);
  const loop = new EngineLoop(runner, options, sendEvent);
  onLoop(loop);
  const { maxModelLen, vocabSize, isBatchInvariant, device, capacity, draftModel } = runner;
  const draft = draftModel ? { guessCost: draftModel.guessCost, bytes: draftModel.bytes } : null;
  sendEvent({
    type: "engine-ready",
    limits: { maxModelLen, vocabSize, maxNumSeqs: options.maxNumSeqs, isBatchInvariant, device, capacity, draft },
  });
  await loop.run();
  await runner.close();
  if (process.connected) process.disconnect();
  process.exit(0); // none of our threads is left
}

function sendEvent(event: EngineEvent): void {
  process.send?.(event, undefined, undefined, () => {
    // A lost channel is reported by "disconnect", which ends the process.
  });
}

/**
 * Reports the error and ends. The parent explains an error that a user can act on. Any other error is a bug, so its
 * stack is printed.
 */
function failEngine(error: unknown): void {
  if (!(error instanceof AppError)) console.error(error);
  setTimeout(endNow, LAST_MS);
  const event: EngineEvent = { type: "engine-failed", error: toWire(error) };
  if (process.send === undefined || !process.connected) endNow();
  process.send?.(event, undefined, undefined, endNow);
}

/**
 * Ends the process in any state. `exit` is not used because it ends the threads first. A thread that is just opening
 * the store would then crash the process with a fatal error of its own (`adapter-loader.ts`).
 */
function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}
