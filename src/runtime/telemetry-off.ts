/**
 * Switches off ONNX Runtime's telemetry before its library loads. Otherwise the library reports usage to its maker and
 * keeps a device id in the user's cache folder (seen in 1.30 on Linux: $XDG_CACHE_HOME/Microsoft). A server that
 * receives prompts must not call anyone. Hence the work happens at import time, and this file is imported before the
 * library. Users who want the reports set the variable themselves.
 */
process.env.ORT_DISABLE_TELEMETRY ??= "1";
