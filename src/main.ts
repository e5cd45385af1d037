#!/usr/bin/env node
/** The program `mosara`: arguments in, exit code out. Everything else is in cli/. */
import { runCommandLine } from "./cli/command-line.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), process.env);
