/** Entry of the engine's child process (forked by `engine-client.ts`): the host with the real runner. */
import { hostEngine } from "./engine-host.ts";
import { openRunner } from "./open-runner.ts";
import { WANTED_FD } from "../protocol.ts";

hostEngine((options) => openRunner(options, WANTED_FD));
